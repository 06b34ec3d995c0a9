"""One file of tensors and one JSON document, checked against its own digest: model files and training states."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from flowcli.atomic import file_errors, replacing
from flowcli.errors import ModelFileError, ResourceError, UsageError

Tensors = dict[str, Tensor]


def write(path: Path, kind: str, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write a container, whole or not at all.

    Args:
        path: The file.
        kind: What the container is; the key of its document.
        document: Plain JSON values.
        tensors: Tensors by name, on any device.

    Raises:
        ResourceError: The file cannot be written.
    """
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    content = serialize(stored, {kind: text, "sha256": _digest(text, stored)})
    with replacing(path) as file, file_errors(str(path)):
        file.write(content)


def read(path: Path, kind: str) -> tuple[dict[str, Any], Tensors]:
    """Read a container, on the CPU.

    Returns:
        The document, and the tensors by name.

    Raises:
        UsageError: There is no such file.
        ResourceError: The file cannot be read.
        ModelFileError: The file is no container of that kind, is damaged, or is cut short.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder, not a file")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            if kind not in metadata:
                raise ModelFileError(f"{path}: not a {kind} file; it was made by something else")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        reason = str(error).splitlines()[0]
        raise ModelFileError(f"{path}: not a {kind} file, or damaged ({reason})") from error
    except OSError as error:
        raise ResourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    text = metadata[kind]
    if metadata.get("sha256") != _digest(text, tensors):
        raise ModelFileError(f"{path}: damaged: its content does not match its SHA-256")
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ModelFileError(f"{path}: damaged: its description is no mapping")
    return document, tensors


def stated_digest(path: Path) -> str:
    """Return the SHA-256 that a container has of itself; whoever reads it whole has it checked."""
    with safe_open(path, framework="pt", device="cpu") as file:
        return str((file.metadata() or {})["sha256"])


def payload_digest(path: Path, kind: str) -> str:
    """Return the SHA-256 of a container's tensors alone: equal for equal weights, whatever the file says about them."""
    return _digest("", read(path, kind)[1])


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the document and of every tensor with its name, type and shape, in the order of names."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
