"""Every shipped config loads, survives its own JSON, describes itself, and fits the JSON schema."""

from __future__ import annotations

import json
import re

import pytest

from flowcli import config
from flowcli.config.shipped import nearest
from flowcli.errors import ConfigError

EXPECTED = {
    "auto",
    "gaussianization",
    "glow",
    "maf",
    "maf-mixture",
    "mixture",
    "nsf",
    "nsf-coupling",
    "realnvp",
    "sparse",
}


def test_the_promised_ones_are_there():
    assert set(config.names()) >= EXPECTED


@pytest.mark.parametrize("name", config.names())
def test_it_loads_and_survives_its_own_json(name):
    loaded = config.load(name)
    again = config.from_mapping(json.loads(json.dumps(loaded.to_json())))
    assert again == loaded


@pytest.mark.parametrize("name", config.names())
def test_it_says_what_it_is_in_one_line(name):
    assert 20 <= len(config.summary(name)) <= 118
    assert not config.summary(name).startswith("#")


@pytest.mark.parametrize("name", sorted(EXPECTED - {"auto"}))
def test_it_names_its_paper(name):
    assert re.search(r"\([A-Z][^()]* (19|20)[0-9]{2}\)|\(Schwarz, 1978\)", config.text(name))


@pytest.mark.parametrize("name", sorted(EXPECTED - {"auto", "mixture"}))
def test_flows_begin_with_the_quantile_map(name):
    assert config.load(name).to_json()["flow"]["layers"][0] == {"marginal": "quantile"}


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(ConfigError, match=r"no shipped config is called 'realnpv'; did you mean 'realnvp'\?"):
        config.text("realnpv")
    with pytest.raises(ConfigError):
        config.text("../pyproject")
    assert nearest("NSF") == "did you mean 'nsf'?"


# --- the JSON schema --------------------------------------------------------------------------------------------------


def accepts(schema, value, definitions):
    """Whether a JSON schema accepts a value: the few words of JSON Schema that ours has."""
    known = {"$ref", "oneOf", "anyOf", "enum", "const", "type", "properties", "required", "additionalProperties"}
    known |= {"items", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    assert set(schema) <= known | {"title", "description", "default", "$defs", "$schema"}, schema
    if "$ref" in schema:
        return accepts(definitions[schema["$ref"].removeprefix("#/$defs/")], value, definitions)
    if "oneOf" in schema and sum(accepts(each, value, definitions) for each in schema["oneOf"]) != 1:
        return False
    if "anyOf" in schema and not any(accepts(each, value, definitions) for each in schema["anyOf"]):
        return False
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return False
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}
    kinds["null"] = type(None)
    if "type" in schema:
        is_bool = isinstance(value, bool)
        if not isinstance(value, kinds[schema["type"]]) or is_bool != (schema["type"] == "boolean"):
            return False
    if isinstance(value, dict):
        inner = schema.get("properties", {})
        additional = schema.get("additionalProperties", True)
        return set(schema.get("required", [])) <= set(value) and all(
            accepts(inner[key], each, definitions)
            if key in inner
            else (accepts(additional, each, definitions) if isinstance(additional, dict) else additional)
            for key, each in value.items()
        )
    if isinstance(value, list):
        return schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)) and all(
            accepts(schema.get("items", {}), each, definitions) for each in value
        )
    if isinstance(value, int | float):
        return schema.get("minimum", value) <= value <= schema.get("maximum", value) and schema.get(
            "exclusiveMinimum", value - 1
        ) < value < schema.get("exclusiveMaximum", value + 1)
    return True


def is_accepted(values):
    schema = config.schema_json()
    return accepts(schema, values, schema["$defs"])


@pytest.mark.parametrize("name", config.names())
def test_the_schema_accepts_every_shipped_file_as_it_is_written(name):
    from flowcli.config.reader import read

    assert is_accepted(read(config.text(name), name).values)
    assert is_accepted(config.load(name).to_json())


@pytest.mark.parametrize(
    "flow",
    [
        {"base": "normal"},
        {"base": {"mixture": {}}},
        {"layers": ["actnorm"]},
        {"layers": [{"coupling": {"transform": "spline"}}]},
        {"layers": [{"repeat": 2, "layers": ["actnorm", {"linear": "lu"}]}]},
        {"layers": ["coupling"]},
        {"layers": ["linear"]},
        {"layers": ["spline"]},
        {"layers": ["repeat"]},
        {"base": "actnorm"},
        {"base": {"normal": {"zzz": 1}}},
        {"layers": [{"linear": "qr"}]},
        {"layers": [{"repeat": -1, "layers": ["actnorm"]}]},
        {"layers": [{"coupling": {"transform": "spline", "net": {"hidden": [0]}}}]},
        {"layers": [{"coupling": {"transform": "spline", "net": {"hidden": "auto"}}}]},
    ],
    ids=str,
)
def test_the_schema_agrees_with_the_loader(flow):
    try:
        config.from_mapping({"flow": flow})
    except ConfigError:
        assert not is_accepted({"flow": flow})
    else:
        assert is_accepted({"flow": flow})
