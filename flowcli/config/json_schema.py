"""The JSON schema of a config, for editors that complete and check YAML."""

from __future__ import annotations

from typing import Any

from flowcli.config import shape
from flowcli.config.schema import Base, Config, Layer, Options, Transform


def schema_json() -> dict[str, Any]:
    """Return the JSON schema of a config in the form in which a user writes it.

    pydantic does not know that a layer, transform or base may be written as its bare name, ``- actnorm``, so that
    alternative is added here.
    """
    schema = Config.model_json_schema(mode="validation")
    bare = {frozenset(parts): _bare(parts) for parts in map(shape.alternatives, (Transform, Layer, Base)) if parts}
    _allow_bare_names(schema, schema["$defs"], bare)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "flowcli config",
        "description": "An architecture and how it is fitted. https://json-schema.org describes this format.",
    }


def _bare(parts: dict[str, type[Options]]) -> list[str]:
    """Return the names that may be written bare, because all of their options have defaults."""
    alone = []
    for name, part in parts.items():
        options = part.model_fields[name].annotation
        if len(part.model_fields) == 1 and isinstance(options, type) and issubclass(options, Options):
            alone += [] if any(field.is_required() for field in options.model_fields.values()) else [name]
    return alone


def _allow_bare_names(node: Any, definitions: dict[str, Any], bare: dict[frozenset[str], list[str]]) -> None:
    """Add the bare names beside each group of alternatives, in place, everywhere below a node of the schema."""
    if isinstance(node, list):
        for inner in node:
            _allow_bare_names(inner, definitions, bare)
    if not isinstance(node, dict):
        return
    for inner in node.values():
        _allow_bare_names(inner, definitions, bare)
    alternatives = node.get("oneOf")
    if isinstance(alternatives, list) and all("$ref" in alternative for alternative in alternatives):
        classes = [definitions[alternative["$ref"].rpartition("/")[2]] for alternative in alternatives]
        names = bare.get(frozenset(next(iter(each["properties"])) for each in classes), [])
        if names:
            node["oneOf"] = [*alternatives, {"enum": names}]
