"""An evaluation as lines of a screen, and as a JSON document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any

from rich.cells import cell_len

from flowcli.cli.views.width import WIDTH, padded, shortened, wrapped
from flowcli.evaluation.evaluate import Evaluation
from flowcli.evaluation.findings import Finding, grouped, part
from flowcli.evaluation.metrics.calibration import Check
from flowcli.evaluation.metrics.comparison import Difference, Nats
from flowcli.evaluation.metrics.copies import Copies
from flowcli.evaluation.metrics.coverage import Coverage
from flowcli.evaluation.metrics.rivals import Rivals
from flowcli.evaluation.metrics.two_sample import TwoSample
from flowcli.text import counted, literal

BAR = 34
WIDEST_NAME = 24
MOST_CHECKS = 12
MOST_TELLING = 3
ARRAYS = {"ranks", "odds", "chosen"}  # of JSON there would be no end


def lines(found: Evaluation, *, train: bool) -> Iterator[str]:
    """Yield what a person reads, in lines of 80 columns.

    Args:
        found: The evaluation.
        train: Whether copies are of the training rows.
    """
    yield from _wrapped("verdict", found.verdict)
    yield from _repeats(found.repeats, found.nats.rows)
    yield from _found(found.findings)
    yield ""
    yield from _nats(found.nats, found.rivals, found.train_nats)
    yield ""
    yield from _coverage(found.measures.coverage, len(found.drawn.rows), len(found.drawn.draws))
    yield ""
    yield from _columns(found.measures.checks)
    yield ""
    yield from _two_sample(found.measures.two_sample)
    if found.seen is None:
        yield from _copies(found.copies, train)
    else:
        yield "copies: not looked for, since the rows are not new"


def document(found: Evaluation) -> dict[str, Any]:
    """Everything but what there is of every row, as plain JSON values; what is not a finite number is null."""
    measures = found.measures
    unmatched = (
        None
        if found.unmatched_points is None
        else dict(zip(("rows", "draws"), map(_crowd, found.unmatched_points), strict=True))
    )
    pieces = {
        "verdict": found.verdict,
        "findings": found.findings,
        "rows": found.nats.rows + found.repeats,
        "repeated_rows": found.repeats,
        "training_rows_among_them": None if found.seen is None else found.seen.count,
        "rows_beside_draws": len(found.drawn.rows),
        "draws": len(found.drawn.draws),
        "nats": found.nats,
        "nats_of_draws": found.own_nats,
        "nats_of_training_rows": found.train_nats,
        "simple_models": found.rivals,
        "coverage": measures.coverage,
        "columns": measures.checks,
        "two_sample": measures.two_sample,
        "dependence": measures.dependence,
        "crowds": unmatched,
        "copies": found.copies,
    }
    return {name: _plain(value) for name, value in pieces.items()}


def _crowd(unmatched: Any) -> dict[str, Any]:
    return {"share": unmatched.share, "company": unmatched.company, "is_mode": unmatched.is_mode}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__ if name not in ARRAYS}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def _wrapped(head: str, text: str, indent: int = 13) -> Iterator[str]:
    for index, line in enumerate(wrapped(literal(text), WIDTH - indent)):
        yield f"{head if not index else '':<{indent}}{line}"


def _repeats(repeats: int, rows: int) -> Iterator[str]:
    if repeats:
        yield from _wrapped(
            "", f"{part(repeats, repeats + rows, 'is', 'are')} another to the digit, which draws are not:"
            " each is counted once", 2,
        )  # fmt: skip


def _found(findings: Sequence[Finding]) -> Iterator[str]:
    shown, more = grouped(findings)
    for number, each in enumerate(shown, 1):
        cost = f" ({each.cost})" if each.cost else ""
        yield from _wrapped(f"  {number}.", f"{each.name}{cost}: {each.words}", 5)
    if more:
        yield from _wrapped("  and", f"so for {len(more)} more: {'; '.join(more)}", 6)


def _nats(nats: Nats, rivals: Rivals | None, train: Nats | None) -> Iterator[str]:
    rows = [("log-density, nats a row", "mean", "", "the model has", "")]
    rows.append(("the model", *_mean(nats), "", ""))
    if train is not None:
        rows.append(("the model, training rows", *_mean(train), "", ""))
    rows += [(each.name, *_mean(each.nats), *_gain(each.gain)) for each in ([] if rivals is None else rivals.found)]
    yield from _table(rows, "<><><")
    if nats.impossible:
        yield from _wrapped(
            "", f"{part(nats.impossible, nats.rows, 'has', 'have')} density zero, so the mean over all is -inf;"
            " the figures are of the others, and what the model has more or less of those that are impossible for"
            " neither", 2,
        )  # fmt: skip
    if rivals is None:
        yield "  too few rows for simple models beside it"
    elif rivals.folds > 1:
        yield from _wrapped(
            "", f"simple models are fitted to {rivals.folds - 1} fifths of {rivals.rows:,} rows and judged on the"
            " last, in turn", 2,
        )  # fmt: skip
    else:
        yield f"  simple models are fitted to the {rivals.fitted_to:,} training rows"


def _mean(nats: Nats) -> tuple[str, str]:
    return (f"{nats.mean:z.3f}", _error(nats.error)) if math.isfinite(nats.mean) else ("-inf", "")


def _error(error: float) -> str:
    """Return the standard error of a mean in words; nothing for a single row."""
    return f"± {error:.3f}" if math.isfinite(error) else ""


def _gain(gain: Difference) -> tuple[str, str]:
    if not math.isfinite(gain.mean):
        return "", ""
    return f"{abs(gain.mean):.3f} {'more' if gain.mean >= 0 else 'less'}", _error(gain.error)


def _coverage(coverage: Coverage, rows: int, draws: int) -> Iterator[str]:
    yield f"coverage: of {counted(rows, 'row')}, how many lie where the model has its most likely ..."
    for region in coverage.regions:
        filled = round(region.inside * BAR)
        bar = "".join("█" if index < filled else "·" for index in range(BAR))
        mark = round(region.level * BAR) - 1
        bar = bar[:mark] + "|" + bar[mark + 1 :]
        yield f"  {region.level:>4.0%}  {bar}  {region.inside:6.1%}  ({region.low:.1%} to {region.high:.1%})"
    yield f"  in brackets 95% confidence; regions are found from {counted(draws, 'draw')}"


def _columns(checks: Sequence[Check]) -> Iterator[str]:
    if not checks:
        return
    shown = sorted(checks, key=lambda check: (check.adjusted, -check.nats))[:MOST_CHECKS]
    what = {"values": "KS", "shares": "shares", "missing": "missing"}
    rows = [("columns by themselves", "", "apart", "chance", "costs", "")]
    rows += [
        (
            shortened(literal(check.column), WIDEST_NAME),
            what[check.aspect],
            f"{check.distance:.3f}",
            f"{check.adjusted:.2g}" if check.adjusted >= 1e-4 else "<1e-4",
            f"{check.nats:.3f}",
            _remark(check),
        )
        for check in shown
    ]
    yield from _table(rows, "<<>>><")
    if len(checks) > len(shown):
        yield f"  and {len(checks) - len(shown)} more that are less off, which --json has"


def _remark(check: Check) -> str:
    if check.adjusted >= 0.05 or check.aspect != "values":
        return ""
    return check.detail.removeprefix("the model's ").removeprefix("the model is ").removeprefix("the ")


def _two_sample(test: TwoSample | None) -> Iterator[str]:
    if test is None:
        yield "two-sample test: too few rows"
        return
    yield from _wrapped(
        "", f"two-sample test: a classifier tells {test.pairs:,} draws from as many rows with an AUC of"
        f" {test.auc:.3f} ± {test.error:.3f} (0.5 is chance); it is nearly sure of {test.sure_rows:.1%} of the rows"
        f" and of {test.sure_draws:.1%} of the draws" + _most_telling(test), 0,
    )  # fmt: skip


def _most_telling(test: TwoSample) -> str:
    names = ", ".join(name for name, _ in test.columns[:MOST_TELLING])
    return f"; most telling: {names}" if names else ""


def _copies(copies: Copies | None, train: bool) -> Iterator[str]:
    if copies is None:
        yield "copies: too few rows"
        return
    rows = "training rows" if train else "rows"
    yield from _wrapped(
        "", f"copies: half of the draws have one of {copies.rows:,} {rows} within {copies.distance:.3g}, half of other"
        f" rows within {copies.usual:.3g}; {copies.close:.1%} of the draws are as close to one as the closest"
        f" {copies.close_rows:.0%} of other rows", 0,
    )  # fmt: skip
    if copies.exact or copies.exact_rows:
        yield f"  to the digit: {copies.exact:.1%} of the draws, {copies.exact_rows:.1%} of other rows"


def _table(rows: Sequence[Sequence[str]], alignments: str) -> Iterator[str]:
    """Return rows of cells as lines below a heading; numbers on the right, names as long as there is room."""
    widths = [max(cell_len(row[index]) for row in rows[1:]) for index in range(len(alignments))]
    widths[0] = max(widths[0], cell_len(rows[0][0]) - 2)
    widths[0] = min(widths[0], WIDTH - 2 - sum(width + 2 for width in widths[1:]))
    for number, (first, *others) in enumerate(rows):
        cells = [
            padded(cell, alignment, width)
            for cell, alignment, width in zip(others, alignments[1:], widths[1:], strict=True)
        ]
        room = widths[0] + 2 * (not number)
        head = "  " * bool(number) + padded(shortened(first, room), "<", room)
        yield "  ".join([head, *cells]).rstrip()
