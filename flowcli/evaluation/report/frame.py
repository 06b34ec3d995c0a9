"""The frame of a report: its style sheet, and what stands around all sections."""

from __future__ import annotations

from html import escape
from string import Template

from flowcli.text import literal


def shown(text: str) -> str:
    """A text of the data for a page: no markup, and nothing that a page obeys or does not show, but for its code."""
    return escape(literal(text))


FRAME = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root {
  color-scheme: light dark;
  --paper: #ffffff; --card: #f6f7f9; --ink: #1c2430; --quiet: #5a6675; --faint: #c4ccd6;
  --rows: #b4500b; --draws: #0b62a8; --good: #1c7a3c; --small: #8a6100; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181e; --card: #1d232c; --ink: #e6eaf0; --quiet: #a3afbd; --faint: #465160;
    --rows: #f39a52; --draws: #64b1f2; --good: #62cf86; --small: #e3b341; --bad: #ff8078;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--faint); }
h3 { font-size: 1rem; margin: 0 0 .25rem; }
p { margin: .5rem 0; max-width: 46rem; }
.quiet { color: var(--quiet); }
.verdict {
  font-size: 1.15rem; font-weight: 600; padding: .6rem .9rem; border-left: .3rem solid; background: var(--card);
}
.good { border-color: var(--good); } .small { border-color: var(--small); } .bad { border-color: var(--bad); }
ol { padding-left: 1.5rem; } li { margin: .5rem 0; max-width: 46rem; }
.beside { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; }
.beside > * { flex: 1 1 20rem; min-width: 0; } .beside > .wide { flex-basis: 26rem; }
figure { margin: 0; max-width: 30rem; } figcaption { color: var(--quiet); font-size: .9rem; }
svg { display: block; width: 100%; height: auto; }
img { display: block; width: 100%; min-width: 44rem; max-width: 60rem; height: auto; border-radius: .4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .95rem; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top; }
th { color: var(--quiet); font-weight: 500; white-space: nowrap; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.name { min-width: 6.5rem; } td.word { white-space: nowrap; } td.detail { min-width: 12rem; }
tbody tr { border-top: 1px solid var(--faint); }
.grid {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); gap: 1rem; margin-top: 1rem;
}
.card { background: var(--card); padding: .75rem .9rem; border-radius: .4rem; min-width: 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: .15em; margin: 0 .3em 0 .1em; }
.bar { display: block; height: .45rem; border-radius: .1rem; min-width: 1px; }
</style>
</head>
<body>
$body
</body>
</html>
""")
