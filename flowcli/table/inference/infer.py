"""What kind a column is, and how its values are written, from the values themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import DataError, UsageError
from flowcli.table.inference.by_values import from_zero_up, of_dates, of_numbers, of_text, share_off_lattice
from flowcli.table.inference.by_wish import as_wished, check_support
from flowcli.table.inference.differences import is_easier, of_difference, ordered_columns
from flowcli.table.inference.lattice import REPEATED, Written, repeated
from flowcli.table.inference.relations import Relation
from flowcli.table.inference.season import seasonal_period
from flowcli.table.inference.sentinels import say_sentinels
from flowcli.table.inference.sums import is_whole, of_remainder, shown_sum, sums_of_columns, with_ends
from flowcli.table.schema import Column, Schema, parse_kind
from flowcli.table.values.cell_format import is_date
from flowcli.table.values.numbers import exclude_flag
from flowcli.table.values.words import is_missing
from flowcli.text import and_more, did_you_mean, listed, quoted

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
    missing_words: tuple[str, ...] | None = None,
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
        missing_words: The words for a missing cell; ``None`` for the usual ones.
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
    relations = {r.target: r for r in sums_of_columns(names, values, written, {*request, *given})}
    columns: list[Column] = []
    shares = {part for relation in relations.values() if is_whole(values, relation) for part, _ in relation.parts}
    for index, name in enumerate(names):
        column = _described(
            name, values, index, written[index], request.get(name), relations.get(index), names, source, line
        )
        if name not in request and any(index in (part for part, _ in r.parts) for r in relations.values()):
            column = from_zero_up(column, values[:, index])  # what adds up to something is an amount
        if index in relations and not given:
            column = with_ends(column, values, relations[index])
        elif index in shares and not given and column.support[0] < 0:
            column = replace(column, least=0.0)
        columns.append(replace(column, given=name in given))
    inequalities = ordered_columns(columns, values, written, {*request, *given})
    differences = {high: of_difference(columns, values, written, low, high) for low, high in inequalities}
    easier = {
        high: difference
        for high, difference in differences.items()
        if difference is not None and is_easier(difference, columns, values, high)
    }
    columns = [easier.get(index, column) for index, column in enumerate(columns)]
    columns = [
        replace(
            column,
            seasonal_period=None if column.name in request else seasonal_period(column, values, index),
            off_lattice=share_off_lattice(column, values[:, index], written[index]),
            missing_words=missing_words,
        )
        for index, column in enumerate(columns)
    ]
    _say(columns, values, relations, notice)
    say_sentinels(columns, values, missing_words, notice)
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
    if not len(numbers):  # asked for all the same
        remedy = f"leave it out with {exclude_flag([name])}"
        raise DataError(f"all cells are missing; {remedy}", source=source, column=name)
    column = Column(
        name,
        integer=written.integer,
        decimals=written.decimals,
        levels=written.levels,
        words=written.words,
        format=written.format,
        missing=bool(is_missing(cells).any()),
    )
    if relation is not None:
        return of_remainder(column, values, relation, names)
    if written.levels:
        return of_text(column, written, wish, source)
    if numbers.min() == numbers.max():
        if wish is not None and wish.kind in ("positive", "bounded", "circular"):
            check_support(replace(column, kind=wish.kind, lower=wish.lower, upper=wish.upper), cells, source, line)
        return replace(column, kind="constant", value=float(numbers[0]))
    if wish is not None:
        return as_wished(column, cells, written, wish, source, line)
    if written.format is not None and is_date(written.format):
        return of_dates(column, numbers, written)
    return of_numbers(column, numbers, written)


def _say(
    columns: Sequence[Column], values: Numbers, relations: Mapping[int, Relation], notice: Callable[[str], None]
) -> None:
    for index, relation in relations.items():
        column = columns[index]
        if relation.holds < 1:
            held = f"{relation.holds:.1%} of the rows"
            notice(f"column {column.name!r} is {shown_sum(column)} in {held}; what is left is modelled")
    if kept := [(column.at_least, column.name) for column in columns if column.at_least is not None]:
        shown = and_more([f"{quoted(low)} <= {quoted(high)}" for low, high in kept])
        remedy = f"--kind {quoted(f'{kept[0][1]}=real')} models that column by itself"
        notice(f"true in all rows, and so in all that are drawn: {shown}; {remedy}")
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
