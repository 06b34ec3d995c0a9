"""Tell what may be written where in a config, from the classes in ``schema``.

A position in a config holds a mapping with known keys, one of several named alternatives (one key, its name, over its
options), a list, or a single value. Error messages and ``--set`` need to know which.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from flowcli.config.reader import KeyPath
from flowcli.config.schema import Config, Options
from flowcli.text import printable


def strip(annotation: Any) -> Any:
    """Return the type without its constraints."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def fields(annotation: Any) -> dict[str, Any] | None:
    """Return the keys of a mapping with their types, or ``None`` for any other type."""
    kind = strip(annotation)
    if isinstance(kind, type) and issubclass(kind, Options):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    return None


def alternatives(annotation: Any) -> dict[str, type[Options]] | None:
    """Return the classes of named alternatives by their names, or ``None`` for any other type."""
    kind = strip(annotation)
    if get_origin(kind) not in (Union, types.UnionType):
        return None
    members = [strip(member) for member in get_args(kind)]
    if not all(isinstance(member, type) and issubclass(member, Options) for member in members):
        return None
    return {next(iter(member.model_fields)): member for member in members}


def item(annotation: Any) -> Any | None:
    """Return the type of a list's items, or ``None`` for any other type."""
    kind = strip(annotation)
    if get_origin(kind) in (Union, types.UnionType):  # a list, or a word in its place
        lists = [member for member in get_args(kind) if item(member) is not None]
        return item(lists[0]) if lists else None
    return get_args(kind)[0] if get_origin(kind) is tuple else None


def is_free(annotation: Any) -> bool:
    """Return whether this is a mapping whose keys the user chooses."""
    return get_origin(strip(annotation)) is dict


def part_name(part: Any) -> str | None:
    """Return the name of an alternative as a user wrote it, bare or as a mapping."""
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part:
        return "repeat" if "repeat" in part else str(next(iter(part)))
    return None


def show(path: KeyPath) -> str:
    """Return a path as messages show it: ``flow.layers[1].coupling``."""
    shown = ""
    for step in path:
        shown += f"[{step}]" if isinstance(step, int) else f".{printable(step)}" if shown else printable(step)
    return shown


def known_paths(values: Any, annotation: Any = Config, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield every path that a config with these values has, written out or left to its default."""
    named = alternatives(annotation)
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
