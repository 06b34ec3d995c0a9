"""Model files of earlier formats, in the words of today's.

Formats 1 (numbers alone) and 2 are of single flows, format 3 is of ensembles; format 4 is of both. What was renamed
since then is all that differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

FIRST_OF_TODAY = 4
COLUMN_KEYS = {"bend": "linear_below", "minus": "subtracted_columns", "other": "has_unseen_values"}
LAST_NAMES = {"guard": "smoothing", "places": "parents"}  # of tensors, whatever module they belong to


def in_todays_words(
    document: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    """Return the document and the tensors of a model file as today's flowcli names them; today's files as they are."""
    if document["format"] >= FIRST_OF_TODAY:
        return document, tensors
    return _document(document), {_tensor_name(name): tensor for name, tensor in tensors.items()}


def _document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the keys of columns, of each flow of an ensemble too."""
    renamed = {**document, "format": FIRST_OF_TODAY}
    if "members" in document:
        renamed["members"] = [_document(member) for member in document["members"]]
    if "columns" in document:
        renamed["columns"] = [
            {COLUMN_KEYS.get(key, key): value for key, value in column.items()} for column in document["columns"]
        ]
    return renamed


def _tensor_name(name: str) -> str:
    """Return today's name of a tensor, ``module.name``."""
    module, dot, last = name.rpartition(".")
    return f"{module}{dot}{LAST_NAMES.get(last, last)}"
