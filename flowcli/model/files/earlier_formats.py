"""Model files of earlier formats, in the words of today's.

Formats 1 (numbers alone) and 2 are of single flows, format 3 is of ensembles, format 4 of both in today's words. Up to
there an atom on a lattice counted as its probability over the step, and does still in those models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

TODAYS, FIRST_IN_TODAYS_WORDS = 5, 4
COLUMN_KEYS = {"bend": "linear_below", "minus": "subtracted_columns", "other": "has_unseen_values"}
LAST_NAMES = {"guard": "smoothing", "places": "parents"}  # of tensors, whatever module they belong to


def in_todays_words(
    document: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    """Return the document and the tensors of a model file as today's flowcli names them; today's files as they are."""
    if document["format"] >= TODAYS:
        return document, tensors
    if document["format"] >= FIRST_IN_TODAYS_WORDS:
        return _document(document), tensors
    return _document(document), {_tensor_name(name): tensor for name, tensor in tensors.items()}


def _document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with its columns as they are described today, and those of each flow of an ensemble."""
    renamed = {**document, "format": TODAYS}
    if "members" in document:
        renamed["members"] = [_document(member) for member in document["members"]]
    if "columns" in document:
        renamed["columns"] = [_column(column) for column in document["columns"]]
    return renamed


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {COLUMN_KEYS.get(key, key): value for key, value in column.items()}
    return {**renamed, "atoms_per_step": True} if renamed.get("atoms") and renamed.get("step") else renamed


def _tensor_name(name: str) -> str:
    """Return today's name of a tensor, ``module.name``."""
    module, dot, last = name.rpartition(".")
    return f"{module}{dot}{LAST_NAMES.get(last, last)}"
