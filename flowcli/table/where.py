"""A condition on a row, as a user writes it: ``x > 0 and 2 * y < 3``."""

from __future__ import annotations

import ast
import math
import operator
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowcli.errors import UsageError
from flowcli.table.schema import Column
from flowcli.table.values.cell_format import is_date, numbers_of, texts_of
from flowcli.table.values.dates import DAY, DateFormat, find_date_format
from flowcli.table.values.texts import truth_level
from flowcli.table.values.words import indices_of, is_missing
from flowcli.text import did_you_mean, listed, quoted

# Nothing that a person types comes near; Python's parser, and recursion here, end somewhere beyond.
LONGEST = 2_000  # characters
DEEPEST = 100  # parts of parts

Numbers = NDArray[np.float64] | float
Truth = NDArray[np.bool_]

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Numbers, Numbers], Numbers]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Mod: np.mod,
}
_SIGNS: dict[type[ast.unaryop], Callable[[Numbers], Numbers]] = {ast.UAdd: np.positive, ast.USub: np.negative}
_WORDS = {ast.BitAnd: "write and, not &", ast.BitOr: "write or, not |", ast.BitXor: "there is no ^"}
# A text in quotes, which stays as it is, or a name in backquotes.
_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|`([^`]*)`""")


class Condition:
    """Which rows are meant, for many rows at once.

    There are columns by their names (in backquotes where a name is no word: ```net price` > 0``), numbers,
    ``+ - * / %``, comparisons that may be chained (``0 < x <= 1``), ``in`` and ``not in`` a list, ``and``, ``or``,
    ``not`` and brackets. A column of text is equal to a text in quotes or is not, or is in a list of them; a date or a
    price is compared with one in quotes that is written as in the file, a date as ISO 8601 has it, too. There is
    nothing else: no calls, no attributes, no way to anything outside of the row.

    Args:
        text: The condition.
        columns: The columns of the rows, (D,).

    Raises:
        UsageError: The text is no condition on these columns.
    """

    def __init__(self, text: str, columns: Sequence[Column]) -> None:
        self.text = text
        self._columns = list(columns)
        self._names = [column.name for column in columns]
        self._quoted: dict[str, str] = {}
        self._tree = self._parsed(text)
        self(np.empty((0, len(columns))))  # what does not fit together is found here

    def __call__(self, values: NDArray[np.float64]) -> Truth:
        """Return which rows (B, D) meet the condition, (B,); no comparison with a missing value is met."""
        with np.errstate(all="ignore"):
            met = np.asarray(self._truth(self._tree, values))
        return np.broadcast_to(met, len(values))

    def _parsed(self, text: str) -> ast.expr:
        if len(text) > LONGEST:
            raise self._error(f"is longer than {LONGEST:,} characters")
        mark = "_"
        while mark in text:
            mark += "_"

        def word(found: re.Match[str]) -> str:
            if found[1] is not None:
                return found[1]
            self._quoted[name := f"{mark}{len(self._quoted)}"] = found[2]
            return name

        try:
            tree = ast.parse(_QUOTED.sub(word, text).replace("\n", " ").strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if re.search(r"(?<![<>=!])=(?!=)", text):
                raise self._error("is not understood; == compares") from None
            reason = f" ({error.msg})" if isinstance(error, SyntaxError) else ""
            remedy = "write it like x > 0 and y < 3, and a name that is no word in backquotes"
            raise self._error(f"is not understood{reason}; {remedy}") from None
        parts: list[ast.AST] = [tree]
        depth = 0
        while parts := [inner for part in parts for inner in ast.iter_child_nodes(part)]:
            depth += 1
            if depth > DEEPEST:
                raise self._error("is nested too deeply")
        return tree

    def _truth(self, node: ast.expr, values: NDArray[np.float64]) -> Truth:
        """Return what is true or false."""
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return reduce(np.logical_and, [self._truth(part, values) for part in parts])
            case ast.BoolOp(values=parts):
                return reduce(np.logical_or, [self._truth(part, values) for part in parts])
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return np.logical_not(self._truth(part, values))
            case ast.Compare(left=left, ops=how, comparators=others):
                edges = [left, *others]
                pairs = zip(edges, how, others, strict=False)
                return reduce(np.logical_and, [self._comparison(a, by, b, values) for a, by, b in pairs])
        if isinstance(node, ast.BinOp) and type(node.op) in _WORDS:
            raise self._error(f"is not understood: {_WORDS[type(node.op)]}")
        raise self._error(f"has {self._shown(node)} where a comparison belongs, such as x > 0")

    def _comparison(self, left: ast.expr, by: ast.cmpop, right: ast.expr, values: NDArray[np.float64]) -> Truth:
        if isinstance(by, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set) or not right.elts:
                raise self._error(f"has {self._shown(right)} after in, where a list belongs: x in [1, 2]")
            found = reduce(np.logical_or, [self._comparison(left, ast.Eq(), each, values) for each in right.elts])
            if isinstance(by, ast.In):
                return found
            # A missing value is neither in a list nor outside of it.
            known = self._comparison(left, ast.Eq(), left, values)
            return np.logical_and(known, np.logical_not(found))
        if type(by) not in _COMPARISONS:
            raise self._error("is not understood: == compares, is does not")
        one, other = self._operands(left, by, right, values)
        met = np.asarray(_COMPARISONS[type(by)](one, other))
        if isinstance(by, ast.NotEq):
            met = met & np.equal(one, one) & np.equal(other, other)
        return met

    def _operands(self, left: ast.expr, by: ast.cmpop, right: ast.expr, values: NDArray[np.float64]) -> tuple[Any, Any]:
        """Both sides of a comparison as numbers: a text is its place among the levels of the column beside it."""
        columns = [self._textual(left), self._textual(right)]
        if columns == [None, None]:
            for named, beside in ((left, right), (right, left)):
                if (formatted := self._formatted(named)) is not None and isinstance(beside, ast.Constant):
                    both = self._as_written(formatted, self._number(named, values), by, beside)
                    return both if named is left else (both[1], both[0])
            return self._number(left, values), self._number(right, values)
        if not isinstance(by, ast.Eq | ast.NotEq):
            raise self._error("orders texts, which can only be equal (==) or not (!=)")
        if columns[0] is not None and columns[1] is not None:
            levels = columns[0].levels
            moves = [levels.index(level) if level in levels else -1 - i for i, level in enumerate(columns[1].levels)]
            return self._cells(left, values), _moved(self._cells(right, values), moves)
        column, cell = (columns[0], right) if columns[0] is not None else (columns[1], left)
        assert column is not None
        column_index = float(self._level(cell, column))
        one, other = (
            (self._cells(left, values), column_index)
            if columns[0] is not None
            else (column_index, self._cells(right, values))
        )
        return one, other

    def _formatted(self, node: ast.expr) -> Column | None:
        """Return the column of dates, of formatted numbers or of numbers and words that is named, if one is."""
        if not isinstance(node, ast.Name) or node.id in ("true", "false"):
            return None
        column = self._columns[self._column_index(node.id)]
        return column if column.format is not None or column.words else None

    def _as_written(self, column: Column, cells: Numbers, by: ast.cmpop, node: ast.Constant) -> tuple[Any, Any]:
        """Return a column's cells (B,), and what a cell of it means that is written as in the file."""
        text, is_text = str(node.value), isinstance(node.value, str)
        if is_text and text in column.words:
            if not isinstance(by, ast.Eq | ast.NotEq):
                raise self._error(f"orders the word {quoted(text)}, which can only be equal (==) or not (!=)")
            found = indices_of(np.asarray(cells)).astype(np.float64)
            return np.where(is_missing(np.asarray(cells)), np.nan, found), float(column.words.index(text))
        dates = column.format is not None and is_date(column.format)
        if not (is_text or dates) or column.format is None:
            return cells, self._number(node, np.empty((0, len(self._columns))))
        number = float(numbers_of([text], column.format)[0])
        if dates and number != number:
            number = _date_of(text, DateFormat(column.format))
        if number != number:
            some = texts_of(np.zeros(1), column.format, column.decimals)[0]
            raise self._error(f"compares column {quoted(column.name)}, written like {some}, with {quoted(text)}")
        return cells, number

    def _textual(self, node: ast.expr) -> Column | None:
        """Return the column of text that a part of the condition names, if it names one."""
        if not isinstance(node, ast.Name) or (node.id in ("true", "false") and node.id not in self._names):
            return None
        column = self._columns[self._column_index(node.id)]
        return column if column.text else None

    def _cells(self, node: ast.expr, values: NDArray[np.float64]) -> NDArray[np.float64]:
        assert isinstance(node, ast.Name)
        return values[:, self._column_index(node.id)]

    def _level(self, node: ast.expr, column: Column) -> int:
        """Return the place of a text among a column's levels."""
        match node:
            case ast.Constant(value=bool() as truth) if column.kind == "boolean":
                return truth_level(column.levels, truth)
            case ast.Name(id="true" | "false" as word) if column.kind == "boolean" and word not in self._names:
                return truth_level(column.levels, word == "true")
            case ast.Constant(value=str() as text):
                if text in column.levels:
                    return column.levels.index(text)
                hint = did_you_mean(text, column.levels) or f"; it is one of {listed(column.levels)}"
                raise self._error(f"has the text {quoted(text)}, which column {quoted(column.name)} never has{hint}")
        raise self._error(f"compares column {quoted(column.name)}, which is text, with {self._shown(node)}")

    def _number(self, node: ast.expr, values: NDArray[np.float64]) -> Numbers:
        """Return what is a number: of each row, or of all."""
        match node:
            case ast.Name(id=name):
                if (column := self._textual(node)) is not None:
                    raise self._error(f"has column {quoted(column.name)}, which is text, where a number belongs")
                return values[:, self._column_index(name)]
            case ast.Constant(value=bool() | None):
                pass
            case ast.Constant(value=int() | float() as number):
                try:
                    return float(number)
                except OverflowError:
                    raise self._error("has a number that is too large for a float64") from None
            case ast.Constant(value=str() as text):
                raise self._error(f"has the text {quoted(text)} where a number belongs")
            case ast.UnaryOp(op=sign, operand=part) if type(sign) in _SIGNS:
                return _SIGNS[type(sign)](self._number(part, values))
            case ast.BinOp(left=left, op=by, right=right) if type(by) in _ARITHMETIC:
                return _ARITHMETIC[type(by)](self._number(left, values), self._number(right, values))
            case ast.BinOp(op=by) if type(by) in _WORDS:
                raise self._error(f"is not understood: {_WORDS[type(by)]}")
        raise self._error(f"has {self._shown(node)} where a number or a column belongs")

    def _column_index(self, word: str) -> int:
        """Return the column that a word or a name in backquotes means."""
        name = self._quoted.get(word, word)
        if name in self._names:
            return self._names.index(name)
        # Python's parser has brought a word to the form NFKC; the file need not have.
        alike = [i for i, other in enumerate(self._names) if unicodedata.normalize("NFKC", other) == name]
        if len(alike) == 1 and word not in self._quoted:
            return alike[0]
        hint = did_you_mean(name, self._names) or f"; the columns are {listed(self._names)}"
        raise self._error(f"names no column {quoted(name)}{hint}")

    def _shown(self, node: ast.expr) -> str:
        """Return a part of the condition, as the user wrote it or nearly so."""
        text = ast.unparse(node)
        for word, name in self._quoted.items():
            text = text.replace(word, f"`{name}`")
        return quoted(text)

    def _error(self, problem: str) -> UsageError:
        return UsageError(f"the condition {quoted(self.text, 60)} {problem}")


def _date_of(text: str, own: DateFormat) -> float:
    """Return a date in another format as a number as the column's own are; NaN where it is none."""
    form, _ = find_date_format([text])
    number = None if form is None else form.number(text)
    if form is None or number is None or form.unit == own.unit:
        return math.nan if number is None else number
    return number * DAY if (form.unit, own.unit) == ("day", "second") else math.nan


def _moved(indices: NDArray[np.float64], moves: Sequence[int]) -> NDArray[np.float64]:
    """Places among one list of texts as places among another; NaN stays."""
    table = np.array([*moves, np.nan])
    return np.asarray(table[np.where(np.isnan(indices), len(moves), indices).astype(np.int64)])
