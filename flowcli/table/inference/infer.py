"""What kind a column is, and how its values are written, from the values themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import DataError, UsageError
from flowcli.table.inference.any_step import Lattice
from flowcli.table.inference.copula_gain import gain_of_difference
from flowcli.table.inference.flags import find_sums_of_flags
from flowcli.table.inference.inequalities import FEWEST_BELOW, Inequality, find_inequalities, share_below_zero
from flowcli.table.inference.lattice import REPEATED, Written, find_lattice, repeated
from flowcli.table.inference.left_out import MOST_LEVELS
from flowcli.table.inference.relations import Relation, difference, find_relations, on_grid, remainder
from flowcli.table.inference.season import seasonal_period
from flowcli.table.inference.sentinels import say_sentinels
from flowcli.table.inference.value_distribution import (
    ATOM_ROWS,
    UNSEEN,
    atom_of,
    interval_of,
    is_discrete,
    is_positive,
    linear_below_of,
    straight_above_of,
    values_of,
)
from flowcli.table.schema import Column, Schema, parse_kind
from flowcli.table.values.cell_format import is_date
from flowcli.table.values.dates import DAY, DateFormat
from flowcli.table.values.numbers import exclude_flag
from flowcli.table.values.support import outside
from flowcli.table.values.texts import is_boolean
from flowcli.table.values.words import is_missing
from flowcli.text import and_more, did_you_mean, listed, quoted

# Of a column's spread: how exactly a sum of columns has to be another, where no lattice tells.
RELATION_NOISE = 1e-5
# A remainder that fewer rows have is one of the others.
REMAINDER_ROWS, REMAINDER_SHARE = 10, 5e-4
# Nats a row: a column that is never below another is modelled as the difference if that is so much easier.
LEAST_GAIN = 0.03

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
    relations = {r.target: r for r in _relations(names, values, written, {*request, *given})}
    columns: list[Column] = []
    shares = {part for relation in relations.values() if _is_whole(values, relation) for part, _ in relation.parts}
    for index, name in enumerate(names):
        column = _described(
            name, values, index, written[index], request.get(name), relations.get(index), names, source, line
        )
        if name not in request and any(index in (part for part, _ in r.parts) for r in relations.values()):
            column = _from_zero_up(column, values[:, index])  # what adds up to something is an amount
        if index in relations and not given:
            column = _with_ends(column, values, relations[index])
        elif index in shares and not given and column.support[0] < 0:
            column = replace(column, least=0.0)
        columns.append(replace(column, given=name in given))
    inequalities = _inequalities(columns, values, written, {*request, *given})
    differences = {high: _of_difference(columns, values, written, low, high) for low, high in inequalities}
    easier = {
        high: difference
        for high, difference in differences.items()
        if difference is not None and _is_easier(difference, columns, values, high)
    }
    columns = [easier.get(index, column) for index, column in enumerate(columns)]
    periods = [
        None if column.name in request else seasonal_period(column, values, index)
        for index, column in enumerate(columns)
    ]
    columns = [
        replace(column, off_lattice=_share_off_lattice(column, values[:, index], written[index]))
        for index, column in enumerate(columns)
    ]
    columns = [
        replace(column, seasonal_period=period, missing_words=missing_words)
        for column, period in zip(columns, periods, strict=True)
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
        return _of_remainder(column, values, relation, names)
    if written.levels:
        return _of_text(column, written, wish, source)
    if numbers.min() == numbers.max():
        if wish is not None and wish.kind in ("positive", "bounded", "circular"):
            _check_support(replace(column, kind=wish.kind, lower=wish.lower, upper=wish.upper), cells, source, line)
        return replace(column, kind="constant", value=float(numbers[0]))
    if wish is not None:
        return _as_wished(column, cells, written, wish, source, line)
    if written.format is not None and is_date(written.format):
        return _of_dates(column, numbers, written)
    return _of_numbers(column, numbers, written)


def _of_dates(column: Column, numbers: Numbers, written: Written) -> Column:
    """Return a column of dates, which begin nowhere, or of times of day, which come again."""
    form = DateFormat(written.format or "")
    lattice = find_lattice(numbers, written) or Lattice(form.grain)
    column = _on(column, Lattice(max(lattice.step, form.grain), lattice.origin))
    found = values_of(numbers)
    if is_discrete(numbers, found, Lattice(column.step or 1.0, column.origin)):
        return _discrete(column, numbers)
    if form.unit == "second of the day":
        return replace(column, kind="circular", lower=0.0, upper=float(DAY))
    return replace(column, kind="real")


def _of_text(column: Column, written: Written, wish: Column | None, source: str | None) -> Column:
    """Return a column of text."""
    if wish is not None and wish.kind != "category":
        raise DataError(
            f"is a column of text (for example {quoted(written.levels[0])}), not {wish.kind}; leave --kind out, or"
            " correct the cells",
            source=source,
            column=column.name,
        )
    levels = len(written.levels)
    if levels > MOST_LEVELS:
        raise DataError(
            f"has {levels:,} texts (for example {quoted(written.levels[0])}), too many for a category; leave it out"
            f" with {exclude_flag([column.name])}",
            source=source,
            column=column.name,
        )
    if levels == 1:
        return replace(column, kind="constant", value=0.0)
    return replace(column, kind="boolean" if is_boolean(written.levels) else "category")


def _of_remainder(column: Column, values: Numbers, relation: Relation, names: Sequence[str]) -> Column:
    """Return a column that is a sum of others, but for a few rows: what is left is described."""
    remaining = remainder(values, relation.target, relation.parts, relation.step)
    remaining = remaining[~np.isnan(remaining)]
    found = values_of(remaining)
    column = replace(
        column, step=relation.step, subtracted_columns=tuple((names[index], factor) for index, factor in relation.parts)
    )
    if len(found.values) == 1:
        return replace(column, kind="constant", value=float(found.values[0]))
    if relation.rounding:
        middle = found.values[np.argmax(found.counts)]
        reach = len(relation.parts) // 2 * relation.step  # farther out than that rounding leads next to never
        first, last = min(found.values[0], middle - reach), max(found.values[-1], middle + reach)
        steps = np.arange(round((last - first) / relation.step) + 1)
        return replace(
            column, kind="discrete", values=tuple(on_grid(first + relation.step * steps, relation.step).tolist())
        )
    usual = found.counts >= max(REMAINDER_ROWS, REMAINDER_SHARE * len(remaining))
    values_left = tuple(found.values[usual].tolist())
    return replace(column, kind="discrete", values=values_left, has_unseen_values=not usual.all())


def _with_ends(column: Column, values: Numbers, relation: Relation) -> Column:
    """Return a column that is a sum of others, with the ends that it does not leave itself.

    Among amounts, a share of a whole is never below zero, nor is a difference if that is felt: of a normal with the
    same mean and deviation, many rows would be.
    """
    cells = values[:, relation.target]
    cells = cells[~np.isnan(cells)]
    if np.array_equal(np.unique(cells), [0.0, 1.0]):
        return replace(column, least=0.0, most=1.0)
    if (column.format is not None and is_date(column.format)) or not _are_amounts(values, relation):
        return column
    felt = share_below_zero(cells) * len(cells) >= FEWEST_BELOW
    return replace(column, least=0.0) if felt or _is_whole(values, relation) else column


def _are_amounts(values: Numbers, relation: Relation) -> bool:
    """Return whether all columns of a sum of at least two others are nowhere below zero."""
    taking_part = [relation.target, *(part for part, _ in relation.parts)]
    return len(relation.parts) >= 2 and bool(np.nanmin(values[:, taking_part]) >= 0)


def _is_whole(values: Numbers, relation: Relation) -> bool:
    """Return whether a column and its parts are the shares of a constant whole."""
    if not _are_amounts(values, relation) or any(factor >= 0 for _, factor in relation.parts):
        return False
    return bool(np.nanmin(remainder(values, relation.target, relation.parts, relation.step)) > 0)


def _of_difference(
    columns: Sequence[Column], values: Numbers, written: Sequence[Written], low: int, high: int
) -> Column | None:
    """Return a column that is never below another one: how far it lies above it is described.

    There is none where a few rows without a lattice have the same number twice, which a density cannot follow.
    """
    own, other = columns[high], columns[low]
    step = _finest_difference(written[low], written[high], own)
    numbers = difference(values[:, low], values[:, high], step)
    zeros = int((numbers == 0).sum())
    lattice = None if step is None else Lattice(step)
    if written[low].finest and written[high].finest:
        decimals = max(written[low].decimals or 0, written[high].decimals or 0)
        how = Written(integer=not decimals, decimals=decimals)
        lattice = (find_lattice(numbers, how) or lattice) if zeros or repeated(numbers) >= REPEATED else None
    if lattice is None and 0 < zeros < ATOM_ROWS:
        return None
    column = Column(
        own.name,
        integer=own.integer,
        decimals=own.decimals,
        format=own.format,
        subtracted_columns=((other.name, 1.0),),
    )
    return _from_other_up(_on(column, lattice), numbers)


def _is_easier(difference: Column, columns: Sequence[Column], values: Numbers, high: int) -> bool:
    """Return whether the difference of a column from another is clearly easier to model than the column itself."""
    numeric = [
        index
        for index, column in enumerate(columns)
        if not (
            column.text or column.kind == "constant" or column.subtracted_columns or np.isnan(values[:, index]).any()
        )
    ]
    low = next(index for index, column in enumerate(columns) if column.name == difference.at_least)
    rows = values[:, numeric]
    return gain_of_difference(rows, numeric.index(low), numeric.index(high), difference.step) >= LEAST_GAIN


def _share_off_lattice(column: Column, cells: Numbers, written: Written) -> float:
    """Return with which probability a number lies between those of a lattice that is coarser than the digits.

    That none of n does says that the next one does with one in n + 2 (Laplace's rule of succession).
    """
    if column.step is None or not column.continuous or column.given or column.subtracted_columns:
        return 0.0
    if column.takes_more_digits or (written.finest is not None and column.step < 1.5 * written.finest):
        return 0.0
    return 1 / (int(np.isfinite(cells).sum()) + 2)


def _from_other_up(column: Column, numbers: Numbers) -> Column:
    """Return a column of which the differences (N,) from another one are known, and never below zero."""
    found = values_of(numbers)
    lower = 0.0
    if column.step is not None:
        lattice = Lattice(column.step, column.origin % column.step)
        if is_discrete(numbers, found, lattice):
            return replace(_discrete(column, numbers), lower=0.0)
        lower = lattice.origin - lattice.step / 2
    if found.values[0] == 0 and (column.step is None or atom_of(numbers, found, column.step) == 0):
        column, numbers = replace(column, atoms=(0.0,)), numbers[numbers != 0]
        lower += column.step or 0.0
    column = replace(column, kind="positive", lower=lower)
    if is_positive(numbers - lower, None):
        return column
    return replace(column, straight_above=float(2.0 ** round(math.log2(numbers.std()))))


def _as_wished(
    column: Column, cells: Numbers, written: Written, wish: Column, source: str | None, line: Line
) -> Column:
    """Return a column of the kind that the user gave."""
    numbers = cells[~np.isnan(cells)]
    lattice = _lattice(numbers, written) if wish.step is None else Lattice(wish.step)
    column = _on(replace(column, kind=wish.kind, lower=wish.lower, upper=wish.upper), lattice)
    if wish.kind == "discrete":
        return _discrete(column, numbers)
    if wish.step is not None:
        off = np.abs(cells / wish.step - np.round(cells / wish.step)) > 1e-6 * np.maximum(1, np.abs(cells / wish.step))
        if off.any():
            row = int(np.argmax(off))
            raise _outside(column, cells, row, int(off.sum()), f"must be a multiple of {wish.step!r}", source, line)
    if column.kind == "bounded" and column.step is None:  # many values on an edge have no density
        edges = [edge for edge in column.support if (numbers == edge).sum() >= UNSEEN]
        column = replace(column, atoms=tuple(edges))
    _check_support(column, cells, source, line)
    return column


def _of_numbers(column: Column, numbers: Numbers, written: Written) -> Column:
    """Return a column of numbers of which nothing is known but the numbers."""
    lattice = _lattice(numbers, written)
    found = values_of(numbers)
    if lattice is not None and is_discrete(numbers, found, lattice):
        return _discrete(_on(column, lattice), numbers)
    atom = atom_of(numbers, found, None if lattice is None else lattice.step)
    if atom is None:
        return _continuous(_on(column, lattice), numbers)
    remaining = numbers[numbers != atom]
    column = _continuous(_on(replace(column, atoms=(atom,)), _lattice(remaining, written)), remaining)
    if atom != found.values[0]:
        return column
    # The density of the rest begins where the atom's cell ends, so that none of it is rounded to the atom.
    begin = atom + (column.step or 0.0) / 2
    if column.kind != "bounded":
        return replace(column, kind="positive", lower=begin, linear_below=None)
    assert column.lower is not None
    return replace(column, lower=max(column.lower, begin))


def _lattice(numbers: Numbers, written: Written) -> Lattice | None:
    """Return the lattice of numbers (N,); ``None`` where they hardly repeat, and are as good as not rounded."""
    return find_lattice(numbers, written) if repeated(numbers) >= REPEATED else None


def _on(column: Column, lattice: Lattice | None) -> Column:
    """Return a column whose numbers lie on a lattice, if there is one."""
    return column if lattice is None else replace(column, step=lattice.step, origin=lattice.origin)


def _continuous(column: Column, numbers: Numbers) -> Column:
    """Return a column with a density: on an interval, above zero, or on the whole line."""
    step = column.step
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
        return _from_zero_up(replace(column, kind="real"), numbers) if column.integer else replace(column, kind="real")
    return replace(column, kind="positive", linear_below=linear_below_of(numbers) if step is None else None)


def _from_zero_up(column: Column, numbers: Numbers) -> Column:
    """Return a real column on a lattice as one of counts or amounts, if its numbers (N,) end near zero."""
    width = straight_above_of(numbers, column.origin)
    if column.step is None or column.kind != "real" or column.atoms or width is None:
        return column
    return replace(column, kind="positive", lower=-column.step / 2, straight_above=width)


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
        if how.levels and not is_boolean(how.levels):
            numeric[:, index] = np.nan
    targets = [index for index, name in enumerate(names) if name not in spoken_for]
    flags = [index for index, cells in enumerate(numeric.T) if np.array_equal(np.unique(cells), [0.0, 1.0])]
    sums_of_flags = find_sums_of_flags(numeric, flags, targets)
    finest = [1.0 if how.levels else how.finest for how in written]
    noise = [None if how.levels else _noise_of(cells) for how, cells in zip(written, values.T, strict=True)]
    numbers = [index for index in targets if not (written[index].levels or written[index].words)]
    exact = find_relations(numeric, finest, [index for index in numbers if finest[index] is not None], sums_of_flags)
    # What was computed with the digits of a float32 is no sum to the digit.
    coarse = [
        step if own is None or (step or 0.0) > 100 * own else None for step, own in zip(noise, finest, strict=True)
    ]
    return find_relations(numeric, coarse, [index for index in numbers if coarse[index] is not None], exact)


def _inequalities(
    columns: Sequence[Column], values: Numbers, written: Sequence[Written], spoken_for: set[str]
) -> list[Inequality]:
    """Return which columns are never below others, among those that nothing was said about."""
    taking_part = [
        index
        for index, column in enumerate(columns)
        if column.kind in ("real", "positive", "bounded", "discrete")
        and not (column.has_gaps or column.subtracted_columns or column.name in spoken_for)
    ]

    def comparable(low: int, high: int) -> bool:
        own, other = columns[high], columns[low]
        if own.kind == "bounded" or _unit(own) != _unit(other):  # a difference would lose the upper bound, ...
            return False
        if math.isfinite(_least(own)) and not math.isfinite(_least(other)) and values[:, low].min() >= 0:
            return False  # ... or the lower one
        steps = [column.step or how.finest for column, how in ((other, written[low]), (own, written[high]))]
        if steps[0] is None or steps[1] is None:
            return steps[0] is steps[1]
        multiple = round(steps[0] / steps[1])
        return multiple >= 1 and abs(steps[0] - multiple * steps[1]) <= 1e-6 * steps[1]

    dates = {index for index in taking_part if is_date(columns[index].format or "#")}
    return find_inequalities(values, taking_part, comparable, {*taking_part} - dates)


def _unit(column: Column) -> Hashable:
    """Return what numbers of two columns have in common if they may be compared."""
    if column.format is None or not is_date(column.format):
        return column.format
    form = DateFormat(column.format)
    return form.unit, form.grain


def _least(column: Column) -> float:
    """Return what no number of a column is below."""
    if column.kind == "discrete":
        return column.values[0] if column.values[0] >= 0 or not column.has_unseen_values else -math.inf
    return column.support[0]


def _finest_difference(low: Written, high: Written, column: Column) -> float | None:
    """Return the step of the lattice that all differences between two columns lie on, the higher of them described."""
    return column.step if low.finest is None or high.finest is None else min(low.finest, high.finest)


def _noise_of(cells: Numbers) -> float | None:
    """Return a power of ten that no relation between numbers (N,) without a lattice needs to be exact below."""
    numbers = cells[~np.isnan(cells)]
    scale = float(np.subtract(*np.quantile(numbers, [0.95, 0.05]))) if len(numbers) else 0.0
    return 10.0 ** math.floor(math.log10(RELATION_NOISE * scale)) if scale > 0 and math.isfinite(scale) else None


def _check_support(column: Column, cells: Numbers, source: str | None, line: Line) -> None:
    lower, upper = column.support
    out = outside(column, cells)
    if column.kind == "bounded" and column.step is None:  # a few values on an edge are neither a density nor an atom
        out |= ((cells == lower) | (cells == upper)) & ~np.isin(cells, column.atoms)
    if not out.any():
        return
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


def shown_sum(column: Column) -> str:
    """Return the sum that is taken from a column, in words: ``small_bags + 2 large_bags``, ``1 - web - shop``."""
    terms = [
        (factor, name if abs(factor) == 1 else f"{abs(factor):g} {name}") for name, factor in column.subtracted_columns
    ]
    constant = column.value if column.kind == "constant" else column.values[len(column.values) // 2]
    if constant:
        terms.append((constant, f"{abs(constant):g}"))
    positive_first = sorted(terms, key=lambda term: term[0] < 0)
    text = "".join(f" {'-' if number < 0 else '+'} {shown}" for number, shown in positive_first)
    return text[3:] if positive_first[0][0] > 0 else f"-{text[3:]}"
