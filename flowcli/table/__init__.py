"""CSV and Parquet in and out, in blocks; the schema of the columns. Knows names, kinds and lines, and no tensors."""

from __future__ import annotations

from flowcli.table.inference.infer import infer_schema
from flowcli.table.inference.lattice import Written
from flowcli.table.inference.summary import decision, decisions
from flowcli.table.io.csv_text import cell_texts
from flowcli.table.io.load import Table, frame_values, from_frame, read_like, read_table, read_values, refuse_invalid
from flowcli.table.io.reader import Block, Reader, open_table, read_blocks
from flowcli.table.io.source import is_parquet
from flowcli.table.io.writer import Writer, open_writer
from flowcli.table.read_options import ReadOptions
from flowcli.table.schema import KIND_SYNTAX, Column, Kind, Schema, parse_kind
from flowcli.table.values.formats import as_written, to_cells
from flowcli.table.values.numbers import to_arrow
from flowcli.table.values.texts import read_cell
from flowcli.table.where import Condition

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
    "refuse_invalid",
    "to_arrow",
    "to_cells",
]
