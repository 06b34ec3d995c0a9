"""CSV and Parquet in and out, in blocks; the schema of the columns. Knows names, kinds and lines, and no tensors."""

from __future__ import annotations

from flowcli.table.csv_text import cell_texts
from flowcli.table.decisions import decision, decisions
from flowcli.table.formats import as_written, to_cells
from flowcli.table.grid import Written
from flowcli.table.infer import infer_schema
from flowcli.table.load import Table, frame_values, from_frame, read_like, read_table, read_values, refuse_unlike
from flowcli.table.numbers import to_arrow
from flowcli.table.reader import Block, Reader, open_table, read_blocks
from flowcli.table.schema import KIND_SYNTAX, Column, Kind, Schema, parse_kind
from flowcli.table.source import ReadOptions, Waiting, is_parquet
from flowcli.table.texts import read_cell
from flowcli.table.where import Condition
from flowcli.table.writer import Writer, open_writer

__all__ = [
    "KIND_SYNTAX",
    "Block",
    "Column",
    "Condition",
    "Kind",
    "ReadOptions",
    "Reader",
    "Schema",
    "Table",
    "Waiting",
    "Writer",
    "Written",
    "as_written",
    "cell_texts",
    "decision",
    "decisions",
    "frame_values",
    "from_frame",
    "infer_schema",
    "is_parquet",
    "open_table",
    "open_writer",
    "parse_kind",
    "read_blocks",
    "read_cell",
    "read_like",
    "read_table",
    "read_values",
    "refuse_unlike",
    "to_arrow",
    "to_cells",
]
