"""Turn what pydantic finds wrong with a config into one line that a user can act on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from flowcli.config import shape
from flowcli.config.reader import KeyPath
from flowcli.config.schema import Base, Config, Layer, Transform
from flowcli.text import nearest

_KINDS = {
    "transform": shape.alternatives(Transform),
    "layer": shape.alternatives(Layer),
    "base": shape.alternatives(Base),
}


def describe(
    errors: list[ErrorDetails], values: Mapping[str, Any], location: Callable[[KeyPath], tuple[int, str]]
) -> str:
    """Return one line on the first mistake, and how many more there are.

    Args:
        errors: pydantic's list.
        values: The config that it is about.
        location: Gives a sort key and the name of the line where a path is written: ``(7, 'nsf.yaml:7')``.
    """
    found: dict[KeyPath, list[tuple[ErrorDetails, Any]]] = {}
    for error in errors:
        path, annotation = _locate(error["loc"])
        found.setdefault(path, []).append((error, annotation))
    # Where a list or 'auto' is allowed, pydantic reports what is wrong with either: the deepest path is the useful one.
    paths = [path for path in found if not any(other != path and other[: len(path)] == path for other in found)]
    paths.sort(key=lambda path: location(path)[0])
    first = paths[0]
    more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
    where = shape.show(first)
    return f"{location(first)[1]}{', ' if where else ''}{where}: {_message(first, found[first], values)}{more}"


def _locate(loc: tuple[str | int, ...]) -> tuple[KeyPath, Any]:
    """Return the path as a user sees it, and the type expected at its end (around it, for an unknown key)."""
    annotation: Any = Config
    path: KeyPath = ()
    for step in loc:
        named = shape.alternatives(annotation)
        keys = shape.fields(annotation)
        if named is not None:  # pydantic puts the part's name before its only key
            if step not in named:
                break
            annotation = named[str(step)]
        elif keys is not None:
            path = (*path, step)
            if step not in keys:
                break
            annotation = keys[str(step)]
        elif shape.is_free(annotation):
            path = (*path, step)
            break
        elif isinstance(step, int) and shape.item(annotation) is not None:
            path = (*path, step)
            annotation = shape.item(annotation)
    return path, annotation


def _message(path: KeyPath, errors: list[tuple[ErrorDetails, Any]], values: Mapping[str, Any]) -> str:
    error, annotation = errors[0]
    kind, given = error["type"], error["input"]
    if kind == "extra_forbidden":
        return _unknown_key(path, annotation, values)
    if kind == "missing":
        named = shape.alternatives(annotation)
        return "is missing" + (f"; it is one of {', '.join(named)}" if named else "")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _unknown_part(annotation, given)
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        if given is None:
            return "has no options; indent them further than this line, or write {}"
        return f"should be a mapping, not {_written(given)}"
    wanted = list(dict.fromkeys(_wanted(error) for error, _ in errors))
    return f"should {', or '.join(wanted).replace(', or be ', ', or ')}, not {_written(given)}"


def _wanted(error: ErrorDetails) -> str:
    """Return what pydantic expected of a single value, to be read after "should"."""
    context = error.get("ctx", {})
    match error["type"]:
        case "literal_error":
            return f"be {context['expected']}"
        case "int_type" | "int_from_float" | "int_parsing":
            return "be a whole number"
        case "float_type" | "float_parsing":
            return "be a number"
        case "bool_type":
            return "be true or false"
        case "string_type":
            return "be text"
        case "tuple_type" | "list_type":
            return "be a list"
        case "finite_number":
            return "be a finite number"
        case "greater_than_equal":
            return f"be at least {context['ge']:g}"
        case "greater_than":
            return f"be more than {context['gt']:g}"
        case "less_than_equal":
            return f"be at most {context['le']:g}"
        case "less_than":
            return f"be less than {context['lt']:g}"
        case "too_short":
            return f"have at least {context['min_length']} item{'s' * (context['min_length'] > 1)}"
        case "too_long":
            return f"have at most {context['max_length']} items"
    return error["msg"].removeprefix("Input should ").rstrip(".")


def _written(value: Any) -> str:
    """Return a value as YAML writes it, cut to fit into one line."""
    words = {None: "nothing", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, int) and abs(value) > 10**40:
        return "so large a number"
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def _unknown_key(path: KeyPath, annotation: Any, values: Mapping[str, Any]) -> str:
    wrong = str(path[-1])
    keys = list(shape.fields(annotation) or ())
    close = nearest(wrong.lower(), keys)
    if close is None:
        known = shape.known_paths(values)
        elsewhere = (shape.show(each) for each in known if each[-1] == wrong and len(each) > 1 and each != path)
        close = next(elsewhere, None)
    if close is not None:
        return f"unknown key; did you mean {close!r}?"
    return f"unknown key; known here: {', '.join(keys)}" if keys else "unknown key; there are no options here"


def _unknown_part(annotation: Any, given: Any) -> str:
    """Return what an unknown layer, transform or base should have been called, or where it belongs."""
    here = shape.alternatives(annotation) or {}
    name = shape.part_name(given)
    if name is None:
        return f"should be one of {', '.join(here)}, not {_written(given)}"
    kinds = {part: kind for kind, parts in _KINDS.items() for part in parts or ()}
    kind = next((kinds[part] for part in here if part in kinds), "part")
    close = nearest(name.lower(), kinds, cutoff=0.7)
    if close in here:
        return f"unknown {kind} {name!r}; did you mean {close!r}?"
    known = f"it is one of {', '.join(here)}"
    if close is not None:
        return f"unknown {kind} {name!r}; {close!r} is a {kinds[close]}; {known}"
    return f"unknown {kind} {name!r}; {known}"
