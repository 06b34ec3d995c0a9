"""What may stand where in a config, seen from the classes in ``schema``.

A place in a config is a mapping with known keys, a part (one key, its name, over its options), a list, or a single
value. The messages and ``--set`` need to know which.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from flowcli.config.reader import Path
from flowcli.config.schema import Config, Options


def strip(annotation: Any) -> Any:
    """The type itself, without its constraints."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def fields(annotation: Any) -> dict[str, Any] | None:
    """The keys of a mapping with their types; None when this is no such mapping."""
    kind = strip(annotation)
    if isinstance(kind, type) and issubclass(kind, Options):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    return None


def parts(annotation: Any) -> dict[str, type[Options]] | None:
    """The names that a part may have, each with its class; None when this is no part."""
    kind = strip(annotation)
    if get_origin(kind) not in (Union, types.UnionType):
        return None
    members = [strip(member) for member in get_args(kind)]
    if not all(isinstance(member, type) and issubclass(member, Options) for member in members):
        return None
    return {next(iter(member.model_fields)): member for member in members}


def item(annotation: Any) -> Any | None:
    """The type of a list's items; None when this is no list."""
    kind = strip(annotation)
    if get_origin(kind) in (Union, types.UnionType):  # a list, or a word in its place
        lists = [member for member in get_args(kind) if item(member) is not None]
        return item(lists[0]) if lists else None
    return get_args(kind)[0] if get_origin(kind) is tuple else None


def is_free(annotation: Any) -> bool:
    """Whether this is a mapping whose keys the user names."""
    return get_origin(strip(annotation)) is dict


def part_name(part: Any) -> str | None:
    """The name of a part as a user wrote it, bare or as a mapping."""
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part:
        return "repeat" if "repeat" in part else str(next(iter(part)))
    return None


def show(path: Path) -> str:
    """A path as messages show it: ``flow.layers[1].coupling``."""
    shown = ""
    for step in path:
        shown += f"[{step}]" if isinstance(step, int) else f".{printable(step)}" if shown else printable(step)
    return shown


def printable(text: str) -> str:
    """The text as it is, or escaped where it would break a message of one line."""
    return text if text.isprintable() else repr(text)


def known_paths(values: Any, annotation: Any = Config, path: Path = ()) -> Iterator[Path]:
    """Every path that a config with these values has, whether it is written out or has its default."""
    named = parts(annotation)
    if named is not None:
        name = part_name(values)
        if name in named:
            yield from known_paths(values if isinstance(values, dict) else {}, named[name], path)
        return
    keys = fields(annotation)
    if keys is not None:
        for key, inner in keys.items():
            yield (*path, key)
            yield from known_paths(values.get(key) if isinstance(values, dict) else None, inner, (*path, key))
        return
    inner = item(annotation)
    if inner is not None and isinstance(values, list):
        for index, value in enumerate(values):
            yield (*path, index)
            yield from known_paths(value, inner, (*path, index))
