"""The state of a fit beside its model file, so that a fit that was killed can go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from flowcli.encoding.encoder import Encoder
from flowcli.errors import FlowcliError, ModelFileError
from flowcli.model.files import container
from flowcli.model.files.model_file import pack_encoding, unpack_encoding, unpack_schema

KIND = "flowcli-state"
FORMAT = 5


def save_state(state: tuple[dict[str, Any], dict[str, Tensor]], encoder: Encoder, path: Path) -> None:
    """Write the state of a fit, whole or not at all.

    Raises:
        ResourceError: The file cannot be written.
    """
    document, tensors = state
    packed = tensors | pack_encoding(encoder)
    container.write(path, KIND, {"format": FORMAT, **document}, packed)


def load_state(path: Path) -> tuple[dict[str, Any], dict[str, Tensor], Encoder]:
    """Read the state of a fit.

    Raises:
        ModelFileError: The file is damaged, or of another version's format.
    """
    document, tensors = container.read(path, KIND)
    if document.get("format") != FORMAT:
        raise ModelFileError(f"{path}: was written by another version of flowcli; --force starts again")
    try:
        encoder = unpack_encoding(unpack_schema(document["columns"]), tensors)
    except (FlowcliError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(f"{path}: damaged: {error}") from error
    return document, tensors, encoder
