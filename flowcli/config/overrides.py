"""Apply ``--set key.path=value``: change single values of a config from the command line."""

from __future__ import annotations

import re
from typing import Any

from flowcli.config import shape
from flowcli.config.reader import KeyPath, read_value
from flowcli.config.schema import Config
from flowcli.errors import ConfigError
from flowcli.text import nearest, printable

_INDEX = re.compile(r"\[([0-9]{1,9})\]")


def apply(values: dict[str, Any], override: str) -> KeyPath:
    """Change one value in place.

    A path is made of keys and of positions in lists, counted from 0: ``flow.layers.1.coupling.mask=odd``. A part that
    is written as its bare name becomes a mapping when one of its options is set.

    Args:
        values: The config's plain values.
        override: ``key.path=value``.

    Returns:
        The path that was set.

    Raises:
        ConfigError: The path is unknown (the message has the nearest known one), or the value is not YAML.
    """
    source = label(override)
    dotted, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"{source}: write key.path=value, for example train.epochs=20")
    value = read_value(text.strip(), source)
    steps = [step.strip() for step in _INDEX.sub(r".\1", dotted).split(".")]
    return _set(values, steps, value, source)


def label(override: str) -> str:
    """Return an override as messages name it."""
    return f"--set {printable(override)}"


def _set(values: dict[str, Any], steps: list[str], value: Any, source: str) -> KeyPath:
    """Walk down the path, creating mappings that were left to their defaults, and set the value."""
    holder: Any = values
    annotation: Any = Config
    path: KeyPath = ()
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        key: str | int = step
        if (shape.is_free(annotation) or shape.fields(annotation) is not None) and not isinstance(holder, dict):
            raise ConfigError(f"{source}: {shape.show(path)} is a list; only a mapping has {step!r}")
        if shape.is_free(annotation):  # columns, whose names may have dots
            key, last = ".".join(steps[number:]), True
        elif (keys := shape.fields(annotation)) is not None:
            if step not in keys:
                raise ConfigError(f"{source}: {_unknown(values, steps, path, list(keys))}")
            annotation = keys[step]
        elif (inner := shape.item(annotation)) is not None and isinstance(holder, list):
            key = _index(step, holder, source, path)
            annotation = inner
        else:
            raise ConfigError(f"{source}: {_unknown(values, steps, path, [])}")
        path = (*path, key)
        if last:
            holder[key] = value
            break
        if not isinstance(key, int) and holder.get(key) is None:
            holder[key] = [] if shape.item(annotation) is not None else {}
        annotation = _enter(holder, key, annotation, steps[number + 1], source, path)
        holder = holder[key]
    return path


def _index(step: str, holder: list[Any], source: str, path: KeyPath) -> int:
    shown = shape.show(path)
    if not step.isascii() or not step.isdigit() or int(step[:10]) >= len(holder):
        raise ConfigError(f"{source}: {shown} has {len(holder)} items, counted from 0; {step!r} is not one of them")
    return int(step)


def _enter(holder: Any, key: str | int, annotation: Any, following: str, source: str, path: KeyPath) -> Any:
    """Return the type of the options below a named alternative; any other type is returned unchanged."""
    named = shape.alternatives(annotation)
    if named is None:
        if not isinstance(holder[key], dict | list):
            raise ConfigError(
                f"{source}: {shape.show(path)} is the single value {holder[key]!r}; there is nothing inside"
            )
        return annotation
    part = holder[key]
    name = shape.part_name(part)
    if name is None and following in named:
        name = following
    if name not in named:
        known = ", ".join(named)
        raise ConfigError(f"{source}: {shape.show(path)} must be one of {known} before an option of it can be set")
    if following in named and following != name and following not in named[name].model_fields:
        raise ConfigError(f"{source}: {shape.show(path)} is {name!r}; first set {shape.show(path)}={following}")
    if isinstance(part, str):
        holder[key] = {name: {}}
    return named[name]


def _unknown(values: dict[str, Any], steps: list[str], path: KeyPath, keys: list[str]) -> str:
    """Return the nearest known path, or the keys that are known here."""
    wrong = ".".join(steps)
    known = [".".join(map(str, each)) for each in shape.known_paths(values)]
    close = next((each for each in known if each.rpartition(".")[2] == steps[-1]), None) or nearest(wrong, known)
    if close:
        return f"there is no {wrong!r}; did you mean {close!r}?"
    where = f" in {shape.show(path)}" if path else ""
    return f"there is no {wrong!r}; " + (f"known{where}: {', '.join(keys)}" if keys else f"nothing is{where}")
