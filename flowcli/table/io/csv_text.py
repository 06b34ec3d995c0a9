"""Tables as CSV text, quoted only where it must be.

pyarrow's own writer quotes every cell of text, and takes longer than joining the columns' texts does.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from flowcli.errors import DataError
from flowcli.table.values.formats import DECIMALS
from flowcli.table.values.numbers import to_scalar
from flowcli.text import quoted

_CELLS_AT_ONCE = 2**18
# With more digits than these, pyarrow writes small decimals with an exponent: zero as 0E-7.
_PLAIN_DIGITS = 6


def header_line(names: Sequence[str], separator: str = ",") -> bytes:
    """Return the line of names, with its line ending."""
    cells = [
        '"' + name.replace('"', '""') + '"' if set(name) & {'"', "\r", "\n", separator} else name for name in names
    ]
    if cells == [""]:
        cells = ['""']
    return (separator.join(cells) + "\n").encode()


def row_lines(table: pa.Table, separator: str = ",") -> Iterator[memoryview]:
    """Yield the rows as lines of text, a few megabytes at a time.

    Numbers are written with as many digits as it takes to read the same number back, or with the digits after the
    point that the field's metadata asks for; a null is an empty cell.

    Raises:
        DataError: A column of a type that has no text.
    """
    if table.num_columns == 0:
        return
    rows = max(1, _CELLS_AT_ONCE // table.num_columns)
    for start in range(0, table.num_rows, rows):
        part = table.slice(start, rows).combine_chunks()
        texts = [_texts(part.column(i), part.schema.field(i), separator) for i in range(part.num_columns)]
        if len(texts) == 1:
            # A line that holds nothing would be taken for no row at all.
            texts[0] = pc.if_else(pc.equal(texts[0], _text("")), _text('""'), texts[0])
        texts[-1] = pc.binary_join_element_wise(texts[-1], _text("\n"), _text(""))
        lines = pc.binary_join_element_wise(*texts, _text(separator))
        for chunk in lines.chunks:
            _, offsets, data = chunk.buffers()
            bounds = memoryview(offsets).cast("q")[chunk.offset : chunk.offset + len(chunk) + 1]
            yield memoryview(data)[bounds[0] : bounds[-1]]


def cell_texts(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """Return what stands in the cells of a column, before anything is put in quotes; nothing where a cell is missing.

    Raises:
        DataError: A column of a type that has no text.
    """
    kind = field.type
    if pa.types.is_floating(kind):
        return _filled(_decimals(column, field) or column.cast(pa.large_string()))
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    try:
        return _filled(column.cast(pa.large_string()))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise DataError(f"column {quoted(field.name)} is of type {kind}, which cannot be written as CSV") from error


def _texts(column: pa.ChunkedArray, field: pa.Field, separator: str) -> pa.ChunkedArray:
    texts, kind = cell_texts(column, field), field.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind):
        return texts
    special = pc.match_substring_regex(
        texts, '["\r\n' + ("\\" + separator if separator in "|^]\\" else separator) + "]"
    )
    if not pc.any(special).as_py():
        return texts
    quote = _text('"')
    quoted = pc.binary_join_element_wise(quote, pc.replace_substring(texts, '"', '""'), quote, _text(""))
    return pc.if_else(special, quoted, texts)


def _text(text: str) -> pa.Scalar:
    """Return the text for pyarrow, without pandas, which ``pa.scalar`` loads."""
    data = text.encode()
    buffers = [None, pa.py_buffer(struct.pack("=2q", 0, len(data))), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_string(), 1, buffers)[0]


def _filled(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(texts, _text("")) if texts.null_count else texts


def _decimals(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray | None:
    """Texts with a fixed number of digits; ``None`` when none is asked for, or it would change a value."""
    if not field.metadata or DECIMALS not in field.metadata:
        return None
    digits = int(field.metadata[DECIMALS])
    try:
        if digits <= _PLAIN_DIGITS:
            texts = column.cast(pa.decimal128(38, digits), safe=False).cast(pa.large_string())
        else:
            texts = _with_digits(column, digits)
    except pa.ArrowInvalid:
        return None
    return texts if texts.cast(pa.float64()).equals(column.cast(pa.float64())) else None


def _with_digits(column: pa.ChunkedArray, digits: int) -> pa.ChunkedArray:
    whole = pc.round(pc.multiply(column.cast(pa.float64()), to_scalar(10.0**digits))).cast(pa.int64())
    texts = pc.utf8_lpad(pc.abs(whole).cast(pa.large_string()), digits + 1, "0")
    sign = pc.if_else(pc.less(whole, to_scalar(0)), _text("-"), _text(""))
    before = pc.utf8_slice_codeunits(texts, 0, -digits)
    after = pc.utf8_slice_codeunits(texts, -digits)
    return pc.binary_join_element_wise(sign, before, _text("."), after, _text(""))
