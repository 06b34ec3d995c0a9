"""The page: sections with figures, and how to read each. All that comes from data is escaped."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from flowcli.evaluation.evaluate import Evaluation
from flowcli.evaluation.findings import LEAST_ROWS, Finding, grouped, part
from flowcli.evaluation.metrics.calibration import Check
from flowcli.evaluation.metrics.comparison import Nats
from flowcli.evaluation.plots import corner, write_picture
from flowcli.evaluation.report import figures
from flowcli.evaluation.report.frame import FRAME, shown
from flowcli.table.schema import Column
from flowcli.text import counted

Rows = NDArray[np.float64]

MOST_COLUMNS = 24  # with figures; the others stand in the table
MOST_LEVELS = 8
SURELY = 0.05  # the chance below which is said which way a column is off
KEY = (
    '<p class="quiet"><span class="key" style="background:var(--rows)"></span>rows'
    ' <span class="key" style="background:var(--draws);margin-left:1em"></span>draws of the model</p>'
)


def page(found: Evaluation, model: str, data: str) -> str:
    """Return the whole page, as HTML.

    Args:
        found: The evaluation.
        model: What the model is called.
        data: What the rows are called.
    """
    title = f"{shown(model)} on {shown(data)}"
    sections = [_head, _log_density, _coverage, _columns, _pairs, _dependence, _two_sample, _copies]
    body = "\n".join(block for section in sections for block in section(found))
    return FRAME.substitute(title=title, body=f"<h1>{title}</h1>\n{body}")


def _head(found: Evaluation) -> Iterator[str]:
    few = found.nats.rows < LEAST_ROWS
    level = "good" if not (found.findings or few) else "small" if all(each.small for each in found.findings) else "bad"
    drawn = found.drawn
    rows = found.nats.rows + found.repeats
    draws = counted(len(drawn.draws), "draw")
    yield f'<p class="quiet">{counted(rows, "row")}, {draws} of the model, by flowcli evaluate</p>'
    yield f'<p class="verdict {level}">{shown(found.verdict)}</p>'
    if found.repeats:
        yield (
            f"<p>{part(found.repeats, rows, 'is', 'are')} another to the digit, which draws are not: each is"
            " counted once.</p>"
        )
    if found.findings:
        stated, more = grouped(found.findings)
        yield f"<ol>{''.join(_finding(each) for each in stated)}</ol>"
        if more:
            yield f"<p>So it is for {len(more)} more: {shown('; '.join(more))}.</p>"
        yield (
            '<p class="quiet">A nat is the unit of log-densities. What a fault costs is a lower bound of what the mean'
            " log-density lacks; faults overlap, and their costs are not to be added.</p>"
        )


def _finding(finding: Finding) -> str:
    cost = f" ({finding.cost})" if finding.cost else ""
    return f"<li><strong>{shown(finding.name)}</strong>{cost}: {shown(finding.words)}</li>"


def _log_density(found: Evaluation) -> Iterator[str]:
    yield "<h2>Log-density</h2>"
    yield "<p>The mean of log p over the rows, in nats, with its standard error: the higher the better.</p>"
    rivals = () if found.rivals is None else found.rivals.found
    rows = [("", "the model", _mean(found.nats), "")]
    if found.train_nats is not None:
        rows.append(("", "the model, training rows", _mean(found.train_nats), ""))
    for number, each in enumerate(rivals, 1):
        gain = f"{each.gain.mean:+z.3f}{_error(each.gain.error)}" if math.isfinite(each.gain.mean) else ""
        rows.append((str(number), each.name, _mean(each.nats), gain))
    yield '<div class="beside">'
    yield _table(("", "", "nats a row", "model ahead"), rows, "lLnn")
    drawable = tuple(each for each in rivals if math.isfinite(each.gain.error))
    if drawable and len(drawable) == len(rivals):
        caption = "Each simple model by its number: how many nats a row the model has more, with two standard errors."
        yield f"<figure>{figures.gains(drawable)}<figcaption>{caption}</figcaption></figure>"
    yield "</div>"
    if found.nats.impossible:
        yield (
            f"<p>{part(found.nats.impossible, found.nats.rows, 'has', 'have')} density zero, so that the mean"
            " over all is minus infinity; the figures are of the others, and differences of those that neither model"
            " has for impossible.</p>"
        )
    if found.rivals is not None and found.rivals.folds > 1:
        yield (
            f'<p class="quiet">Simple models are fitted to {found.rivals.folds - 1} fifths of {found.rivals.rows:,}'
            " rows and judged on the last, in turn: none has seen the rows that it is judged on.</p>"
        )
    elif found.rivals is not None:
        yield f'<p class="quiet">Simple models are fitted to the {found.rivals.fitted_to:,} training rows.</p>'


def _coverage(found: Evaluation) -> Iterator[str]:
    coverage, drawn = found.measures.coverage, found.drawn
    yield "<h2>Coverage</h2>"
    yield (
        "<p>The smallest region that holds half of the model should hold half of the rows, and so for every share."
        " Fewer rows inside: the model is too narrow, or has too light tails. More: it is too wide.</p>"
    )
    rows = [
        (f"{each.level:.0%}", f"{each.inside:.1%}", f"{each.low:.1%} to {each.high:.1%}") for each in coverage.regions
    ]
    yield '<div class="beside">'
    yield _table(("region", "rows inside", "95% confidence"), rows, "nnn")
    caption = "The line should lie in the band, which holds it 95% of the time at each place if the model is right."
    svg = figures.coverage_curve(coverage, None if drawn.each else len(drawn.draws))
    yield f"<figure>{svg}<figcaption>{caption}</figcaption></figure></div>"


def _columns(found: Evaluation) -> Iterator[str]:
    checks, drawn = found.measures.checks, found.drawn
    if not checks:
        return
    yield "<h2>Each column</h2>"
    yield (
        "<p>Ranks of rows among draws should be spread evenly: a slope says that rows lie lower or higher, a hill that"
        " the model is too wide, a valley that it is too narrow. Apart is the Kolmogorov-Smirnov distance of the ranks,"
        " of shares the total variation, of missing cells the difference. Chance says how likely so much is for a right"
        " model, allowing for there being many columns.</p>"
    )
    words = {"values": "numbers", "shares": "categories", "missing": "missing cells"}
    order = sorted(checks, key=lambda check: (check.adjusted, -check.nats))
    rows = [
        (
            check.column, words[check.aspect], f"{check.distance:.3f}", _chance(check), f"{check.nats:.3f}",
            check.detail if check.adjusted < SURELY else "",
        )
        for check in order
    ]  # fmt: skip
    yield _table(("column", "of its", "apart", "chance", "nats", ""), rows, "Lwnnnd")
    names = drawn.schema.names
    named = list(dict.fromkeys(check.column for check in order if check.aspect != "missing"))
    yield KEY
    yield '<div class="grid">'
    for number, name in enumerate(named[:MOST_COLUMNS]):
        position = names.index(name)
        yield _column(found, drawn.schema.columns[position], position, number)
    yield "</div>"
    if len(named) > MOST_COLUMNS:
        yield f'<p class="quiet">Shown are the {MOST_COLUMNS} columns that are most off, of {len(named)}.</p>'


def _column(found: Evaluation, column: Column, position: int, number: int) -> str:
    rows, draws = found.drawn.rows[:, position], found.drawn.draws[:, position]
    head = f'<div class="card"><h3>{shown(column.name)}</h3>'
    if column.text:
        return head + _levels(rows, draws, column) + "</div>"
    ranks = figures.rank_histogram(
        found.measures.ranks[:, position], f"ranks{number}", None if found.drawn.each else len(draws)
    )
    return f'{head}<div class="pair">{figures.values_histogram(rows, draws, f"values{number}")}{ranks}</div></div>'


def _levels(rows: Rows, draws: Rows, column: Column) -> str:
    """Return a category's shares as bars of a table."""
    counts = [np.bincount(each[each >= 0].astype(np.int64), minlength=len(column.levels)) for each in (rows, draws)]
    shares = [count / max(count.sum(), 1) for count in counts]
    order = np.argsort(-shares[0] - shares[1])
    lines = []
    for level in order[:MOST_LEVELS]:
        bars = "".join(
            f'<span class="bar" style="width:{100 * share[level]:.1f}%;background:var(--{what})"></span>'
            for share, what in zip(shares, ("rows", "draws"), strict=True)
        )
        lines.append(
            f'<tr><td class="name">{shown(column.levels[level])}</td><td style="width:50%">{bars}</td>'
            f'<td class="n">{shares[0][level]:.1%}<br>{shares[1][level]:.1%}</td></tr>'
        )
    more = f'<p class="quiet">and {len(order) - MOST_LEVELS} more</p>' if len(order) > MOST_LEVELS else ""
    return f'<table style="width:100%"><tbody>{"".join(lines)}</tbody></table>{more}'


def _pairs(found: Evaluation) -> Iterator[str]:
    drawn = found.drawn
    yield "<h2>Pairs of columns</h2>"
    yield "<p>Draws as areas, rows as points upon them: where both are of one distribution, points fill the areas.</p>"
    file = io.BytesIO()
    write_picture(corner(drawn.draws, drawn.rows, drawn.schema), file, "png")
    image = base64.b64encode(file.getvalue()).decode()
    alt = "draws over rows for pairs of columns"
    yield f'<div class="wide"><img alt="{alt}" src="data:image/png;base64,{image}"></div>'


def _dependence(found: Evaluation) -> Iterator[str]:
    pair = found.measures.pair
    if pair is None:
        return
    names = found.drawn.schema.names
    positions = [names.index(name) for name in pair.columns]
    yield "<h2>Dependence</h2>"
    one, other = (shown(name) for name in pair.columns)
    yield (
        f"<p>The two columns whose rank correlation is furthest from the rows': {one} (across) and {other} (up),"
        f" {pair.rows:.2f} in the rows and {pair.draws:.2f} in the draws.</p>"
    )
    yield KEY
    svg = figures.scatter(found.drawn.rows[:, positions], found.drawn.singles[:, positions], "pair")
    yield f"<figure>{svg}<figcaption>Up to {figures.POINTS} rows, and as many draws.</figcaption></figure>"
    if (test := found.measures.dependence) is not None:
        yield (
            "<p>With every number replaced by its rank in its own column, so that columns by themselves tell nothing,"
            f" a classifier tells draws from rows with an AUC of {test.auc:.3f} ± {test.error:.3f}.</p>"
        )


def _two_sample(found: Evaluation) -> Iterator[str]:
    test = found.measures.two_sample
    yield "<h2>Rows or draws?</h2>"
    if test is None:
        yield "<p>Too few rows to train a classifier.</p>"
        return
    yield (
        f"<p>A classifier that saw other rows and draws tells {test.pairs:,} rows from as many draws with an AUC of"
        f" {test.auc:.3f} (95% confidence {test.low:.3f} to {test.high:.3f}). Half is chance: nothing can be told. It"
        f" is nearly sure of {test.sure_rows:.1%} of the rows, which no draw is like, and of {test.sure_draws:.1%} of"
        " the draws, which no row is like.</p>"
    )
    if test.columns:
        names = ", ".join(shown(name) for name, _ in test.columns[:5])
        yield f"<p>It goes by these columns first: {names}.</p>"
    yield KEY
    caption = "Of a right model, both lie alike around the middle."
    yield f"<figure>{figures.odds(test)}<figcaption>{caption}</figcaption></figure>"


def _copies(found: Evaluation) -> Iterator[str]:
    copies = found.copies
    yield "<h2>Copies?</h2>"
    if copies is None and found.seen is not None:
        yield "<p>Not looked for: the rows are not new, so that they are copies themselves.</p>"
        return
    if copies is None:
        yield "<p>Too few rows to see whether draws are copies.</p>"
        return
    known = "training rows" if found.train_nats is not None else "rows"
    yield (
        f"<p>Half of the draws have one of {copies.rows:,} {known} within {copies.distance:.3g} (in units of the"
        f" columns' spread), half of other rows within {copies.usual:.3g}. {copies.close:.1%} of the draws are as close"
        " to one,"
        f" beside the one after it, as the closest {copies.close_rows:.1%} of other rows: many more than these would be"
        f" copies. To the digit, {copies.exact:.1%} of the draws are one of them, and {copies.exact_rows:.1%} of other"
        " rows.</p>"
    )


def _mean(nats: Nats) -> str:
    return f"{nats.mean:z.3f}{_error(nats.error)}" if math.isfinite(nats.mean) else "-inf"


def _error(error: float) -> str:
    """Behind a mean; nothing of a single row."""
    return f" ± {error:.3f}" if math.isfinite(error) else ""


def _chance(check: Check) -> str:
    return f"{check.adjusted:.2g}" if check.adjusted >= 1e-4 else "< 0.0001"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], edges: str) -> str:
    """Return a table; of its columns ``n`` are numbers, ``w`` words, ``d`` details, ``L`` names, ``l`` anything."""
    kinds = {"n": ' class="n"', "w": ' class="word"', "d": ' class="detail"', "L": ' class="name"', "l": ""}
    top = "".join(f"<th{kinds[edge]}>{shown(cell)}</th>" for cell, edge in zip(head, edges, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{kinds[side]}>{shown(cell)}</td>' for cell, side in zip(row, edges, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
