"""Load a config by name, from a file or from a mapping, and check it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flowcli.config import mistakes, overrides, shipped
from flowcli.config.reader import MAX_BYTES, MAX_DEPTH, Document, KeyPath, read
from flowcli.config.schema import Config
from flowcli.errors import ConfigError, ResourceError
from flowcli.text import printable


def load(name_or_path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Load a config by the name of a shipped one, or from a file.

    Args:
        name_or_path: ``nsf``, or a path. A shipped name wins over a file of the same name; ``./nsf`` is the file.
        overrides: ``key.path=value`` each, applied in their order.

    Raises:
        ConfigError: There is no such config, or something in it is wrong; the message names the line and the path.
        ResourceError: The file cannot be read.
    """
    wanted = os.fspath(name_or_path)
    if wanted in shipped.names():
        return _checked(read(shipped.text(wanted), f"{wanted}.yaml"), overrides)
    return _checked(read(_bytes(wanted), printable(wanted)), overrides)


def from_mapping(values: Mapping[str, Any], overrides: Sequence[str] = (), source: str = "config") -> Config:
    """Check a config that is already a mapping: from Python, or from a model file.

    Args:
        values: Plain values in the shape of the YAML file; left as they are.
        overrides: ``key.path=value`` each, applied in their order.
        source: Where they come from, for messages.

    Raises:
        ConfigError: Something in it is wrong.
    """
    plain = _plain(values, source)
    if not isinstance(plain, dict):
        raise ConfigError(f"{source}: a config is a mapping, not {type(values).__name__}")
    return _checked(Document(plain, source), overrides)


def _bytes(name: str) -> bytes:
    """Read a config file, at most one byte more than is allowed."""
    shown = printable(name)
    hint = shipped.nearest(name.removesuffix(".yaml").removesuffix(".yml"))
    looks_like_path = any(sep in name for sep in "/\\") or name.lower().endswith((".yaml", ".yml"))
    try:
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        kind = "no such file" if looks_like_path else "neither a shipped config nor a file"
        raise ConfigError(f"{shown}: {kind}; {hint}") from None
    except IsADirectoryError:
        raise ConfigError(f"{shown}: a folder, not a config file; {hint}") from None
    except OSError as error:
        raise ResourceError(f"{shown}: cannot be read: {error.strerror or error}") from None


def _without_wide(values: dict[str, Any], changed: Sequence[KeyPath]) -> None:
    """Drop the alternative architecture where the user changed the main one."""
    flow = values.get("flow")
    if isinstance(flow, dict) and any(path[:2] in (("flow", "layers"), ("flow", "base")) for path in changed):
        flow.pop("wide", None)


def _checked(document: Document, changes: Sequence[str]) -> Config:
    origins: list[tuple[KeyPath, str]] = []
    for change in changes:
        path = overrides.apply(document.values, change)
        origins.append((path, overrides.label(change)))
    _without_wide(document.values, [path for path, _ in origins])

    def location(path: KeyPath) -> tuple[int, str]:
        """Return where a path was written: by the last --set at or above it, or in the file."""
        for origin, option in reversed(origins):
            if path[: len(origin)] == origin:
                return 0, option
        for length in range(len(path), 0, -1):
            if path[:length] in document.lines:
                line = document.lines[path[:length]]
                return line, f"{document.source}:{line}"
        return 0, document.source

    try:
        return Config.model_validate(document.values)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        raise ConfigError(mistakes.describe(errors, document.values, location)) from None


def _plain(value: Any, source: str, depth: int = 0) -> Any:
    """Return a copy that consists of dictionaries and lists."""
    if depth > MAX_DEPTH:
        raise ConfigError(f"{source}: more than {MAX_DEPTH} levels of nesting")
    if isinstance(value, Mapping):
        return {key: _plain(inner, source, depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, source, depth + 1) for inner in value]
    return value
