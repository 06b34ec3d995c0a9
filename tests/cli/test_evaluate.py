"""``flowcli evaluate``: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.cells import cell_len

from tests.cli.terminal import environment, fitted, flowcli, rows

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in BROWSERS if (found := shutil.which(name))), None)
FEW = ("-n", 300, "--threads", 1)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A model of a table with categories, missing cells, a discrete column and strange names; and new rows."""
    folder = tmp_path_factory.mktemp("mixed")
    names = ["<script>alert('x')</script>", "[/bold]\x1b[31mred", "n" * 100, "whole", "$x_1$ & {y}"]
    for name, seed in (("d", 0), ("new", 1)):
        random = np.random.default_rng(seed)
        lines = [",".join(f'"{each}"' for each in names)]
        for _ in range(260):
            x = random.standard_normal()
            kind = random.choice(["<b>bold</b>", "plain", "ünusual", "\u202etfel"])
            missing = "" if random.random() < 0.2 else f"{x + random.standard_normal():.6f}"
            lines.append(f"{kind},{x:.6f},{missing},{random.integers(0, 5)},{np.exp(x):.2f}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return fitted(folder / "d.csv", folder / "d.flow"), folder / "new.csv"


@pytest.fixture(scope="module")
def report(mixed, tmp_path_factory):
    """The page of that model."""
    path = tmp_path_factory.mktemp("report") / "page.html"
    done = flowcli("evaluate", *mixed, *FEW, "--report", path)
    assert done.code == 0, done.err
    return path


def test_it_prints_what_a_person_reads(model, data):
    done = flowcli("evaluate", model, data, *FEW)
    assert (done.code, done.err) == (0, "")
    assert done.lines[0].startswith("verdict ")
    for part in (
        "log-density, nats a row ", "  the model ", "  a Gaussian ", "  a kernel density ",
        "simple models are fitted to 4 fifths of 300 rows", "coverage: of 300 rows", "   50%  █", "   99%  █",
        "columns by themselves", "two-sample test: a classifier tells 300 draws", "copies: half of the draws",
    ):  # fmt: skip
        assert part in done.text, part
    assert flowcli("evaluate", model, data, *FEW).text == done.text
    assert flowcli("evaluate", model, data, *FEW, "--seed", 1).text != done.text


def test_it_fits_a_screen(mixed):
    done = flowcli("evaluate", *mixed, *FEW)
    assert done.code == 0, done.err
    for line in done.lines:
        assert line.isprintable()
        assert line == line.rstrip()
        assert cell_len(line) <= 80 or "n" * 100 in line
    assert "[/bold]\\x1b[31mred" in done.text
    assert "each column by itself" in done.text


def test_json_has_all_figures(mixed):
    done = flowcli("evaluate", *mixed, *FEW, "--json")
    found = json.loads(done.text, parse_constant=pytest.fail)
    assert found["rows"] == 260
    assert found["draws"] == 300
    assert [region["level"] for region in found["coverage"]["regions"]] == [0.5, 0.9, 0.99]
    aspects = {(each["column"], each["aspect"]) for each in found["columns"]}
    assert {("n" * 100, "missing"), ("n" * 100, "values"), ("<script>alert('x')</script>", "shares")} <= aspects
    assert 0 < found["two_sample"]["auc"] < 1
    assert found["copies"]["exact"] == 0
    assert {"name", "words", "nats", "column"} <= set(found["findings"][0])


def test_a_model_of_one_epoch_is_found_wanting(mixed):
    assert not flowcli("evaluate", *mixed, "-n", 2000, "--threads", 1).lines[0].endswith("could show")


def test_training_rows_are_what_copies_are_looked_for_in(model, data, tmp_path):
    (tmp_path / "new.csv").write_text(rows(seed=5))
    done = flowcli("evaluate", model, "new.csv", "--train", data, *FEW)
    assert done.code == 0, done.err
    assert "fitted to the 300 training rows" in done.text
    assert "  the model, training rows " in done.text
    assert "one of 300 training rows within" in " ".join(done.lines)
    known = flowcli("evaluate", model, data, "--train", data, *FEW)
    assert "300 of 300 rows are among the training rows" in " ".join(known.text.split())
    assert "copies: not looked for" in known.text
    assert json.loads(flowcli("evaluate", model, data, "--train", data, *FEW, "--json").text)["copies"] is None
    assert flowcli("evaluate", model, "-", "--train", "-", stdin=b"a").code == 2


def test_rows_from_a_pipe(model, data):
    assert flowcli("evaluate", model, *FEW, stdin=data.read_bytes()).text == flowcli("evaluate", model, data, *FEW).text


@pytest.mark.parametrize("count", [1, 3])
def test_few_rows_are_said_to_be_few(model, tmp_path, count):
    (tmp_path / "few.csv").write_text(rows(count))
    done = flowcli("evaluate", model, "few.csv", *FEW, "--report", "few.html")
    assert done.code == 0, done.err
    assert "too few rows for simple models" in done.text
    assert "two-sample test: too few rows" in done.text
    page = (tmp_path / "few.html").read_text()
    assert page.count("Too few rows") == 2
    assert done.lines[0].startswith("verdict      too few rows to tell")
    for text in (done.text, re.sub(r"base64,[^\"]*", "", page)):
        assert not re.search(r"\bnan\b|\b1 rows", text)


def test_no_rows_are_an_error(model, tmp_path):
    (tmp_path / "none.csv").write_text("a,b,c\n")
    done = flowcli("evaluate", model, "none.csv")
    assert (done.code, done.complaint) == (3, "none.csv: has a header but no rows")


def test_a_category_that_the_model_does_not_know_costs_everything_and_is_said(mixed, tmp_path):
    model, new = mixed
    text = new.read_text(encoding="utf-8").replace("plain,", "other,", 5)
    (tmp_path / "odd.csv").write_text(text, encoding="utf-8")
    done = flowcli("evaluate", model, "odd.csv", *FEW)
    assert done.code == 0
    assert "5 of 260 rows have density zero, so the mean over all is -inf" in " ".join(done.text.split())
    assert "note: " in done.err
    found = json.loads(flowcli("evaluate", model, "odd.csv", *FEW, "--json", "-q").text, parse_constant=pytest.fail)
    assert found["nats"]["impossible"] == 5
    first = found["findings"][0]
    assert (first["name"], first["nats"], first["column"]) == (
        "rows of density zero", None, "<script>alert('x')</script>",
    )  # fmt: skip
    assert "rows of density zero (costs everything): 5 of 260 rows" in done.text


def test_a_conditional_model_and_an_ensemble(data, tmp_path):
    model = fitted(data, tmp_path / "given.flow", "--given", "a")
    done = flowcli("evaluate", model, data, *FEW, "--report", "given.html")
    assert done.code == 0, done.err
    assert "regions are found from 2,700 draws" in done.text
    assert "a linear regression" in done.text
    assert max(map(cell_len, done.lines)) <= 80
    assert flowcli("evaluate", fitted(data, tmp_path / "two.flow", "--ensemble", 2), data, *FEW).code == 0


def test_rows_that_are_there_twice_are_counted_once(model, tmp_path):
    new = rows(seed=6)
    (tmp_path / "twice.csv").write_text(new + new.partition("\n")[2])
    done = flowcli("evaluate", model, "twice.csv", *FEW)
    assert "300 of 600 rows are another to the digit" in done.text
    assert json.loads(flowcli("evaluate", model, "twice.csv", *FEW, "--json").text)["repeated_rows"] == 300


def test_letters_that_take_two_columns_are_counted_so(tmp_path):
    values = np.random.default_rng(7).standard_normal((200, 2)).tolist()
    text = f"{'温度' * 15},湿度\n" + "".join(f"{x!r},{y!r}\n" for x, y in values)
    (tmp_path / "wide.csv").write_text(text, encoding="utf-8")
    done = flowcli("evaluate", fitted(tmp_path / "wide.csv", tmp_path / "wide.flow"), "wide.csv", *FEW)
    assert done.code == 0, done.err
    assert max(map(cell_len, done.lines)) <= 80
    ends = [cell_len(line[: line.index("KS") + 2]) for line in done.lines if " KS " in line]
    assert len(ends) == 2
    assert len(set(ends)) == 1


def test_no_more_draws_than_there_is_room_for(model, data):
    done = flowcli("evaluate", model, data, "-n", 10**9)
    assert (done.code, "from 100 to 1000000" in done.complaint) == (2, True)


def test_a_report_is_never_written_over_what_is_read(model, data, tmp_path):
    before = data.read_bytes()
    same = "the same file"
    for position, words in ((data, same), (model, same), (tmp_path, "is a folder"), ("-", "not the name")):
        done = flowcli("evaluate", model, data, *FEW, "--report", position)
        assert (done.code, words in done.complaint) == (2, True)
    assert flowcli("evaluate", model, data, *FEW, "--report", tmp_path / "no" / "x.html").code == 2
    assert data.read_bytes() == before


class _Page(HTMLParser):
    """What a page consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.words = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_a_report_is_one_whole_page_of_text_and_pictures(report):
    page = _Page()
    text = report.read_text(encoding="utf-8")
    page.feed(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    pictures = [link for link in page.links if link.startswith("data:image/png;base64,")]
    assert len(pictures) == 1
    assert all(link[0] == "#" and link[1:] in page.ids for link in page.links if link not in pictures)
    text = text.replace(pictures[0], "")
    # No letter turns the line round or is no letter; one that was in a name is written out.
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "\\x1b[31mred" in page.words
    assert "\\u202e" in page.words
    # Nothing is fetched, and nothing of the data is obeyed.
    assert not {"script", "b", "link", "iframe", "object"} & set(page.tags)
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
    assert "url(" not in re.sub(r"url\(#", "", text)
    for name in ("<script>alert('x')</script>", "<b>bold</b>", "ünusual", "$x_1$ & {y}", "n" * 100):
        assert name in page.words
    assert page.tags.count("svg") >= 8
    assert page.tags.count("h2") >= 5


# Of all pictures and texts, what is without a size, wider than the page, or laid over its neighbour.
PROBE = """
const problems = [];
const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
if (wide > 0) problems.push('the page is ' + wide + ' too wide');
for (const svg of document.querySelectorAll('svg, img')) {
  const box = svg.getBoundingClientRect();
  if (box.width < 90 || box.height < 40) problems.push('a picture of ' + box.width + ' by ' + box.height);
  for (const part of svg.querySelectorAll('g[id*="text"], path')) {
    if (part.closest('defs') || part.closest('[clip-path]') || part.hasAttribute('clip-path')) continue;
    const own = part.getBoundingClientRect();
    const across = own.left >= box.left - 1 && own.right <= box.right + 1;
    const down = own.top >= box.top - 1 && own.bottom <= box.bottom + 1;
    if (own.width && !(across && down)) problems.push('cut: ' + part.id);
  }
}
const blocks = [...document.querySelectorAll('h1, h2, h3, p, li, table, svg, figcaption')];
for (const block of blocks) {
  const box = block.getBoundingClientRect();
  const beyond = box.right > document.documentElement.clientWidth + 1;
  if (beyond && !block.closest('.wide')) problems.push(block.tagName + ' sticks out');
  const next = block.nextElementSibling;
  if (next) {
    const other = next.getBoundingClientRect();
    const apart = other.top >= box.bottom - 1 || other.left >= box.right - 1 || other.height === 0;
    if (!apart) problems.push(block.tagName + ' lies over ' + next.tagName);
  }
}
function luminance(colour) {
  const linear = x => x <= .03928 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4;
  const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(x => linear(x / 255));
  return .2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2];
}
const paper = luminance(getComputedStyle(document.body).backgroundColor);
for (const block of [...document.querySelectorAll('h1, p, td, th, li')]) {
  const ink = luminance(getComputedStyle(block).color);
  const contrast = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
  if (contrast < 4.5) { problems.push('contrast ' + contrast + ' of ' + block.tagName); break; }
}
const pictures = document.querySelectorAll('svg, img').length, width = innerWidth;
parent.postMessage(JSON.stringify({problems: problems.slice(0, 9), pictures, width, dark: paper < .5}), '*');
"""

# A frame is as narrow as one likes, a window is not.
FRAME = """
<iframe src="probed.html" width="{width}" height="900" style="border: 0"></iframe><pre id="probe"></pre>
<script>onmessage = message => {{ document.getElementById('probe').textContent = message.data; }};</script>
"""


def probed(text, folder, width, dark):
    """What the probe finds of a page in a browser."""
    (folder / "probed.html").write_text(text.replace("</body>", f"<script>{PROBE}</script></body>"), encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.format(width=width), encoding="utf-8")
    flags = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}", "--window-size=1300,1000",
            "--virtual-time-budget=10000", *flags, "--dump-dom", (folder / "frame.html").as_uri(),
        ],
        capture_output=True, check=True, timeout=120, env=environment(),
    )  # fmt: skip
    found = re.search(r'<pre id="probe">(.+?)</pre>', done.stdout.decode())
    assert found is not None, done.stderr.decode()[-2000:]
    result = json.loads(unescape(found[1]))
    assert result["width"] == width
    return result


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


@needs_chromium
@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_all_of_a_report(report, tmp_path, width, dark):
    """Nothing cut, nothing over another, nothing wider than the page, and letters that stand out from the paper."""
    result = probed(report.read_text(encoding="utf-8"), tmp_path, width, dark)
    assert result["problems"] == []
    assert result["pictures"] >= 8
    assert result["dark"] == dark


@needs_chromium
def test_the_browser_would_find_what_is_wrong_with_a_page(report, tmp_path):
    text = report.read_text(encoding="utf-8")
    broken = '<h2 style="margin-bottom: -3rem">Coverage</h2><p style="width: 900px">wide</p>'
    text = text.replace("<h2>Coverage</h2>", broken)
    text = text.replace("--ink: #1c2430", "--ink: #c0c0c0").replace('viewBox="0 0 ', 'viewBox="20 0 ', 1)
    problems = " ".join(probed(text, tmp_path, 400, False)["problems"])
    for words in ("too wide", "P sticks out", "H2 lies over P", "contrast", "cut: "):
        assert words in problems
