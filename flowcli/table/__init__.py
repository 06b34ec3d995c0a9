"""CSV and Parquet in and out, in blocks; the schema of the columns. Knows names, kinds and lines, and no tensors."""

from __future__ import annotations

from flowcli.table.column_selection import ColumnRequest
from flowcli.table.inference.summary import decision, decisions
from flowcli.table.io.blocks import Block
from flowcli.table.io.csv_text import cell_texts
from flowcli.table.io.load import Table, frame_values, from_frame, read_like, read_table, read_values, refuse_invalid
from flowcli.table.io.reader import open_table
from flowcli.table.io.source import is_parquet
from flowcli.table.io.writer import open_writer
from flowcli.table.read_options import ReadOptions
from flowcli.table.schema import Column, Schema, parse_kind
from flowcli.table.values.formats import as_written, to_cells
from flowcli.table.values.missing import missing_words
from flowcli.table.values.numbers import to_arrow
from flowcli.table.values.texts import read_cell
from flowcli.table.where import Condition

__all__ = [
    "Block",
    "Column",
    "ColumnRequest",
    "Condition",
    "ReadOptions",
    "Schema",
    "Table",
    "as_written",
    "cell_texts",
    "decision",
    "decisions",
    "frame_values",
    "from_frame",
    "is_parquet",
    "missing_words",
    "open_table",
    "open_writer",
    "parse_kind",
    "read_cell",
    "read_like",
    "read_table",
    "read_values",
    "refuse_invalid",
    "to_arrow",
    "to_cells",
]
