"""What kind a column is, and how its values are written, from the values themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import DataError, UsageError
from flowcli.table.inference.lattice import REPEATED, Written, grid_step, repeated
from flowcli.table.inference.relations import Relation, find_relations, remainder
from flowcli.table.inference.value_distribution import (
    UNSEEN,
    atom_of,
    interval_of,
    is_discrete,
    is_positive,
    linear_below_of,
    values_of,
)
from flowcli.table.schema import Column, Schema, parse_kind
from flowcli.table.values.numbers import exclude_flag
from flowcli.table.values.support import outside
from flowcli.table.values.texts import is_boolean
from flowcli.text import and_more, did_you_mean, listed, quoted

MOST_LEVELS = 20_000
# Texts of which over half stand in no other row name the rows, and say nothing about them.
FEWEST_OF_NAMES, SHARE_OF_NAMES = 20, 0.5
# A remainder that fewer rows have is one of the others.
REMAINDER_ROWS, REMAINDER_SHARE = 10, 5e-4

Numbers = NDArray[np.float64]
Line = Callable[[int], int | None]


def infer_schema(
    names: Sequence[str],
    values: Numbers,
    written: Sequence[Written],
    kinds: Mapping[str, str],
    notice: Callable[[str], None],
    *,
    given: Sequence[str] = (),
    source: str | None = None,
    line: Line = lambda _: None,
) -> Schema:
    """Describe the columns of a table.

    Args:
        names: The columns' names, (D,).
        values: The rows, at least one, (N, D): finite, NaN where a cell is missing, or the place of a text among the
            column's levels.
        written: How each column is written, (D,).
        kinds: The kinds that the user gave, by name: ``positive``, ``bounded:0,1``, ``category``.
        notice: Called with each thing worth saying that is no error.
        given: The columns that the density is to be conditioned on.
        source: The name for messages.
        line: The line in the file of a row; ``None`` when rows have no lines, so that row numbers are given.

    Raises:
        UsageError: A kind that is none, or for a column that is not there.
        DataError: A value outside the support that the user gave, or a column that says nothing.
    """
    for flag, wanted in (("--kind", list(kinds)), ("--given", list(given))):
        for name in wanted:
            if name not in names:
                hint = did_you_mean(name, names) or f"; the columns are {listed(names)}"
                raise UsageError(f"{flag}: there is no column {quoted(name)}{hint}")
    if given and set(given) >= set(names):
        raise UsageError("--given: all columns are given; leave at least one to be modelled")
    request = {name: parse_kind(text) for name, text in kinds.items()}
    relations = {r.target: r for r in _relations(names, values, written, {*request, *given})}
    columns: list[Column] = []
    for index, name in enumerate(names):
        column = _described(
            name, values, index, written[index], request.get(name), relations.get(index), names, source, line
        )
        columns.append(replace(column, given=name in given))
    _say(columns, values, relations, notice)
    return Schema(tuple(columns))


def _described(
    name: str,
    values: Numbers,
    index: int,
    written: Written,
    wish: Column | None,
    relation: Relation | None,
    names: Sequence[str],
    source: str | None,
    line: Line,
) -> Column:
    """One column."""
    cells = values[:, index]
    numbers = np.ascontiguousarray(cells[~np.isnan(cells)])
    if not len(numbers):
        remedy = f"leave it out with {exclude_flag([name])}"
        raise DataError(f"all cells are missing; {remedy}", source=source, column=name)
    column = Column(
        name,
        integer=written.integer,
        decimals=written.decimals,
        levels=written.levels,
        missing=len(numbers) < len(cells),
    )
    if written.levels:
        return _of_text(column, numbers, written, wish, source)
    if relation is not None:
        return _of_remainder(column, values, relation, names)
    if numbers.min() == numbers.max():
        if wish is not None and wish.kind in ("positive", "bounded", "circular"):
            _check_support(replace(column, kind=wish.kind, lower=wish.lower, upper=wish.upper), cells, source, line)
        return replace(column, kind="constant", value=float(numbers[0]))
    if wish is not None:
        return _as_wished(column, cells, written, wish, source, line)
    return _of_numbers(column, numbers, written)


def _of_text(column: Column, codes: Numbers, written: Written, wish: Column | None, source: str | None) -> Column:
    """Return a column of text."""
    if wish is not None and wish.kind != "category":
        raise DataError(
            f"is a column of text (for example {quoted(written.levels[0])}), not {wish.kind}; leave --kind out, or"
            " correct the cells",
            source=source,
            column=column.name,
        )
    levels, counts = len(written.levels), np.bincount(codes.astype(np.int64))
    alone = int((counts == 1).sum())
    names_rows = levels > FEWEST_OF_NAMES and alone > SHARE_OF_NAMES * len(codes)
    if (names_rows and wish is None) or levels > MOST_LEVELS:
        problem = (
            f"{alone:,} of {len(codes):,} rows have a text of their own" if names_rows else f"has {levels:,} texts"
        )
        raise DataError(
            f"{problem} (for example {quoted(written.levels[0])}), so it names rows and is no category; leave it out"
            f" with {exclude_flag([column.name])}"
            + (f", or give --kind {column.name}=category" if levels <= MOST_LEVELS else ""),
            source=source,
            column=column.name,
        )
    if levels == 1:
        return replace(column, kind="constant", value=0.0)
    return replace(column, kind="boolean" if is_boolean(written.levels) else "category")


def _of_remainder(column: Column, values: Numbers, relation: Relation, names: Sequence[str]) -> Column:
    """Return a column that is a sum of others, but for a few rows: what is left is described."""
    remaining = remainder(values, relation.target, relation.parts, relation.step)
    found = values_of(remaining)
    column = replace(
        column, step=relation.step, subtracted_columns=tuple((names[index], factor) for index, factor in relation.parts)
    )
    if len(found.values) == 1:
        return replace(column, kind="constant", value=float(found.values[0]))
    usual = found.counts >= max(REMAINDER_ROWS, REMAINDER_SHARE * len(remaining))
    return replace(column, kind="discrete", values=tuple(found.values[usual].tolist()), has_unseen_values=True)


def _as_wished(
    column: Column, cells: Numbers, written: Written, wish: Column, source: str | None, line: Line
) -> Column:
    """Return a column of the kind that the user gave."""
    numbers = cells[~np.isnan(cells)]
    step = wish.step
    if step is None and repeated(numbers) >= REPEATED:
        step = grid_step(numbers, written)
    column = replace(column, kind=wish.kind, lower=wish.lower, upper=wish.upper, step=step)
    if wish.kind == "discrete":
        return _discrete(column, numbers)
    if wish.step is not None:
        off = np.abs(cells / wish.step - np.round(cells / wish.step)) > 1e-6 * np.maximum(1, np.abs(cells / wish.step))
        if off.any():
            row = int(np.argmax(off))
            raise _outside(column, cells, row, int(off.sum()), f"must be a multiple of {wish.step!r}", source, line)
    _check_support(column, cells, source, line)
    return column


def _of_numbers(column: Column, numbers: Numbers, written: Written) -> Column:
    """Return a column of numbers of which nothing is known but the numbers."""
    step = grid_step(numbers, written) if repeated(numbers) >= REPEATED else None
    found = values_of(numbers)
    if step is not None and is_discrete(numbers, found, step):
        return _discrete(replace(column, step=step), numbers)
    atom = atom_of(numbers, found, step)
    if atom is None:
        return _continuous(column, numbers, step)
    remaining = numbers[numbers != atom]
    step = grid_step(remaining, written) if repeated(remaining) >= REPEATED else None
    column = _continuous(replace(column, atoms=(atom,)), remaining, step)
    if atom != found.values[0]:
        return column
    # The density of the rest begins where the atom's cell ends, so that none of it is rounded to the atom.
    begin = atom + (step or 0.0) / 2
    if column.kind != "bounded":
        return replace(column, kind="positive", lower=begin, linear_below=None)
    assert column.lower is not None
    return replace(column, lower=max(column.lower, begin))


def _continuous(column: Column, numbers: Numbers, step: float | None) -> Column:
    """Return a column with a density: on an interval, above zero, or on the whole line."""
    column = replace(column, step=step)
    interval = interval_of(numbers)
    if interval is not None:
        lower, upper = interval
        edges = [edge for edge in interval if (numbers == edge).any()]
        if step is not None or not edges:
            return replace(column, kind="bounded", lower=lower, upper=upper)
        if all((numbers == edge).sum() >= UNSEEN for edge in edges):
            return replace(
                column, kind="bounded", lower=lower, upper=upper, atoms=tuple(sorted({*column.atoms, *edges}))
            )
    if not is_positive(numbers, step):
        return replace(column, kind="real")
    return replace(column, kind="positive", linear_below=linear_below_of(numbers) if step is None else None)


def _discrete(column: Column, numbers: Numbers) -> Column:
    """Return a column of which each value has a probability of its own."""
    found = values_of(numbers)
    unseen = column.step is not None and bool(found.counts.min() < UNSEEN)
    return replace(column, kind="discrete", values=tuple(found.values.tolist()), has_unseen_values=unseen)


def _relations(
    names: Sequence[str], values: Numbers, written: Sequence[Written], spoken_for: set[str]
) -> list[Relation]:
    """Return columns that are sums of others, among those that nothing was said about."""
    numeric = values.copy()
    for index, how in enumerate(written):
        if how.levels:
            numeric[:, index] = np.nan
    steps = [None if how.levels else how.finest for how in written]
    targets = [index for index, name in enumerate(names) if steps[index] is not None and name not in spoken_for]
    return find_relations(numeric, steps, targets)


def _check_support(column: Column, cells: Numbers, source: str | None, line: Line) -> None:
    out = outside(column, cells)
    if not out.any():
        return
    lower, upper = column.support
    edges = column.step is not None or column.kind == "circular"
    must = (
        f"a positive value must be {'at least' if edges else 'above'} {lower:g}"
        if column.kind == "positive"
        else f"a {column.kind} value must lie {'from' if edges else 'strictly between'} {lower!r}"
        f" {'to' if edges else 'and'} {upper!r}"
    )
    row = int(np.argmax(out))
    raise _outside(column, cells, row, int(out.sum()), must, source, line)


def _outside(
    column: Column, cells: Numbers, row: int, count: int, must: str, source: str | None, line: Line
) -> DataError:
    """Return the error for a value that a kind cannot have."""
    number = f"row {row + 1}: " if line(row) is None else ""
    more = f" ({count} such rows)" if count > 1 else ""
    return DataError(
        f"{number}{float(cells[row])!r} is outside the kind that was given: {must}{more}; correct the row, or give"
        " another --kind",
        source=source,
        line=line(row),
        column=column.name,
    )


def _say(
    columns: Sequence[Column], values: Numbers, relations: Mapping[int, Relation], notice: Callable[[str], None]
) -> None:
    for index, relation in relations.items():
        column = columns[index]
        if relation.holds < 1:
            held = f"{relation.holds:.1%} of the rows"
            notice(f"column {column.name!r} is {shown_sum(column)} in {held}; what is left is modelled")
    ties = []
    for index, column in enumerate(columns):
        cells = values[:, index]
        if column.continuous and column.step is None and not column.atoms:
            share = repeated(cells[~np.isnan(cells)])
            if share >= REPEATED:
                ties.append(f"{quoted(column.name)} ({share:.0%} of the rows)")
    if ties:
        are = "1 column is" if len(ties) == 1 else f"{len(ties)} columns are"
        shown = and_more(ties)
        notice(f"{are} full of repeated values that lie on no grid, which a density cannot follow: {shown}")


def shown_sum(column: Column) -> str:
    """Return the sum that is taken from a column, in words: ``small_bags + 2 large_bags``."""
    text = ""
    for name, factor in column.subtracted_columns:
        sign = " - " if factor < 0 else " + " if text else ""
        size = "" if abs(factor) == 1 else f"{abs(factor):g} "
        text += f"{sign.strip() if not text else sign}{size}{name}"
    if column.kind == "constant" and column.value:
        text += f" {'-' if column.value < 0 else '+'} {abs(column.value):g}"
    return text
