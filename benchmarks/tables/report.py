"""docs/tables.md, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEAD = """# Tables as they are, measured

Made by `python -m benchmarks.tables` from docs/tables.json; never by hand. Each part can be run alone:
`python -m benchmarks.tables synthetic` (`tails`, `real`, `conditional`, `samples`). The packages with the real tables
and the peers come with `pip install -e '.[bench]'`. All fits are `flowcli.fit(frame)` with no option, but for the kinds
of circular columns; where a table is so large that the fit is cut short, its limit stands in `benchmarks/tables`.
What is exact and what is an estimate is in [density.md](density.md).
"""


def render(results: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = {
        "synthetic": _synthetic,
        "tails": _tails,
        "real": _real,
        "conditional": _conditional,
        "samples": _samples,
    }
    return "\n".join([HEAD, *(show(results[name]) for name, show in parts.items() if name in results)])


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _synthetic(found: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            str(r["columns"]),
            f"{r['true']:.4f}",
            f"{r['ours']:.4f}",
            f"{r['gap']:.4f} ± {r['error']:.4f}",
            f"{r['gap'] / r['columns']:.4f}",
            f"{r['finite']:.3%}",
            f"{r['seconds']:.0f}",
        ]
        for name, r in found.items()
    ]
    head = ["table", "columns", "truth", "flowcli", "gap", "gap a column", "rows with a density", "s"]
    return (
        "## Known densities\n\nMean log-density in nats of 20,000 new rows, after a fit to 20,000 others"
        " (`benchmarks/tables/synthetic.py`).\n\n" + _table(head, rows)
    )


def _tails(found: Mapping[str, Any]) -> str:
    text = "## Far out and at the edges\n\n"
    rows = [
        [name, f"{r['true']:.2f}", f"{r['lowest']:.2f} to {r['highest']:.2f}", f"{r['far rows finite']:.1%}"]
        for name, r in found.items()
        if "lowest" in r
    ]
    text += (
        "After a fit to a million rows, quantiles at 0.01% and 99.99% of a million drawn rows, as multiples of the true"
        " one, over all columns; and how many of 1,000 rows up to a million spreads out have a finite log-density.\n\n"
    )
    text += _table(["table", "true quantile", "drawn / true", "finite"], rows)
    edges = found.get("Beta(1/2, 1/2) edges")
    if edges is None:
        return text
    text += (
        f"\nOf a million drawn shares {edges['inside']:.4%} lie strictly inside. Mass at the edges, as multiples of the"
        " true mass:\n\n"
    )
    return text + _table(list(edges)[1:], [[f"{edges[key]:.3f}" for key in list(edges)[1:]]])


def _real(found: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            f"{r['rows']:,}",
            f"{r['ours']:.3f}",
            f"{r['arf']:.3f}",
            f"{r['over arf']:.3f} ± {r['error arf']:.3f}",
            f"{r['independent']:.3f}",
            f"{r['over independent']:.3f} ± {r['error independent']:.3f}",
        ]
        for name, r in found.items()
    ]
    head = ["table", "rows scored", "flowcli", "arf", "gain over arf", "columns by themselves", "gain over these"]
    return (
        "## Beside other densities of tables\n\nHeld-out log-density in nats a row, on the same fifth of the rows and"
        " the same measure; differences are paired. `arf` is adversarial random forests by arfpy, its node size and"
        " smoothing chosen on a validation part, with fifty trees for penguins and ten for the others. Penguins: five"
        " splits. House prices without `id`, and without"
        " `sqft_basement`, which is an exact difference of two other columns.\n\n" + _table(head, rows)
    )


def _conditional(found: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            f"{r['ours']:.4f}",
            f"{r['linear']:.4f}",
            f"{r['over linear']:.4f} ± {r['error linear']:.4f}",
            f"{r['boosted']:.4f}",
            f"{r['over boosted']:.4f} ± {r['error boosted']:.4f}",
        ]
        for name, r in found.items()
    ]
    head = ["table", "flowcli", "linear regression", "gain", "boosted trees", "gain"]
    return (
        "## A column given the others\n\nHeld-out log-density of `price` given all other columns. The rivals are means"
        " with Gaussian residuals, of the price or of its logarithm, whichever is better.\n\n" + _table(head, rows)
    )


def _samples(found: Mapping[str, Any]) -> str:
    text = (
        "## Drawn rows beside the data\n\nData / 20,000 drawn rows. The distance is the largest difference of the two"
        " distribution functions, and for texts half the sum of the differences of shares; beside it stands that of as"
        " many rows of the data, drawn with replacement.\n"
    )
    head = ["column", "taken for", "range", "missing", "distance", "of as many rows"]
    for name, (first, *rows) in found.items():
        text += f"\n### {name}\n\n{first['column']}.\n\n"
        text += _table(head, [[row[key].replace("|", "\\|") for key in head] for row in rows])
    return text
