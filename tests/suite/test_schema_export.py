"""The JSON Schema accepts what the loader accepts, seen by a small reader of JSON Schema."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from initbench.suite.find import bundled_suites
from initbench.suite.load import load_suite
from initbench.suite.schema_export import json_schema
from initbench.suite.yaml_reader import read_document
from tests.suite.worlds import edited, load, refusal

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
KNOWN = {
    "$defs", "$id", "$ref", "$schema", "additionalProperties", "anyOf", "const", "default",
    "description", "enum", "examples", "exclusiveMaximum", "exclusiveMinimum", "items",
    "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "oneOf", "pattern",
    "patternProperties", "prefixItems", "properties", "propertyNames", "required", "title", "type",
}  # fmt: skip


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Say whether a value fits a schema made of the keywords in `KNOWN`."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].split("/")[-1]], root)
    fitting = {
        keyword: sum(fits(value, inner, root) for inner in schema[keyword])
        for keyword in ("anyOf", "oneOf")
        if keyword in schema
    }
    checks = [
        fitting.get("anyOf", 1) >= 1,
        fitting.get("oneOf", 1) == 1,
        "type" not in schema or is_a(value, schema["type"]),
        "const" not in schema or value == schema["const"],
        "enum" not in schema or value in schema["enum"],
        not is_a(value, "object") or fits_object(value, schema, root),
        not is_a(value, "array") or fits_array(value, schema, root),
        not is_a(value, "string") or fits_string(value, schema),
        not is_a(value, "number") or fits_number(value, schema),
    ]
    return all(checks)


def is_a(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def fits_object(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> bool:
    def fits_key(key: str, inner: Any) -> bool:
        patterns = schema.get("patternProperties", {})
        found = [s for pattern, s in patterns.items() if re.search(pattern, key)]
        found += [schema["properties"][key]] if key in schema.get("properties", {}) else []
        below = found[0] if found else schema.get("additionalProperties", True)
        return below if isinstance(below, bool) else fits(inner, below, root)

    return (
        set(schema.get("required", ())) <= set(value)
        and all(fits(key, schema.get("propertyNames", {}), root) for key in value)
        and all(fits_key(key, inner) for key, inner in value.items())
    )


def fits_array(value: list[Any], schema: dict[str, Any], root: dict[str, Any]) -> bool:
    below = schema.get("prefixItems", []) + [schema.get("items", {})] * len(value)
    allowed = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
    return allowed and all(fits(v, s, root) for v, s in zip(value, below, strict=False))


def fits_string(value: str, schema: dict[str, Any]) -> bool:
    allowed = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
    return allowed and re.search(schema.get("pattern", ""), value) is not None


def fits_number(value: float, schema: dict[str, Any]) -> bool:
    return (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and schema.get("exclusiveMinimum", value - 1) < value
        and schema.get("exclusiveMaximum", value + 1) > value
    )


def accepts(text: str) -> bool:
    schema = json_schema()
    return fits(read_document(text, "f.yaml").plain(), schema, schema)


IN_PLACE = "{optimiser: {name: sgd, lr: 0.1}, schedule: {name: cosine}, epochs: 2, batch_size: 8}"

VALID = {
    "small": edited(),
    "seeds as a list": edited(("seeds: 3", "seeds: [0, 5]")),
    "seeds as a range": edited(("seeds: 3", "seeds: {first: 100, count: 3}")),
    "recipe by name": edited(("{name: digits_quick, epochs: 5}", "digits_quick")),
    "recipe in place": edited(("{name: digits_quick, epochs: 5}", IN_PLACE)),
    "part of an optimiser": edited(("epochs: 5", "optimiser: {lr: 0.1}")),
    "part of the length": edited(("epochs: 5", "epochs: 5, scale: 0.5")),
    "part of a schedule": edited(("epochs: 5", "schedule: {final: 0.1}")),
    "profile with everything": edited(
        ("    seeds: 1", "    reduced: false\n    title: T\n    models: [a, {name: zoo_cnn}]")
    ),
    "labels": edited(("[digits]", "[{name: digits, label: Digits, size: 8}]")),
}

INVALID = {
    "unknown key": edited(("title: Small", "titel: Small")),
    "zero seeds": edited(("seeds: 3", "seeds: 0")),
    "no models": edited(("[zoo_cnn]", "[]")),
    "models without a list": edited(("[zoo_cnn]", "zoo_cnn")),
    "bad name": edited(("[zoo_cnn]", "[zoo cnn]")),
    "unknown test": edited(("reference: default", "reference: default, test: z")),
    "unknown key of a recipe": edited(("epochs: 5", "epoch: 5")),
    "more than the length": edited(("epochs: 5", "scale: 1.5")),
    "unknown optimiser": edited(("epochs: 5", "optimiser: {name: sdg}")),
    "unknown key of a profile": edited(("    seeds: 1", "    seed: 1")),
    "unknown test in a profile": edited(("{test: welch}", "{test: z}")),
    "bad name of a profile": edited(("  smoke:", "  smo ke:")),
    "negative margin": edited(("0.01", "-0.01")),
}


@pytest.mark.parametrize("name", list(VALID))
def test_valid_suites_fit(name: str) -> None:
    assert load(VALID[name])
    assert accepts(VALID[name])


@pytest.mark.parametrize("name", list(INVALID))
def test_mistakes_do_not_fit(name: str) -> None:
    assert refusal(INVALID[name])
    assert not accepts(INVALID[name])


@pytest.mark.parametrize("name", list(bundled_suites()))
def test_bundled_suites_fit(name: str) -> None:
    assert accepts(load_suite(name).source)


def test_it_is_a_document_for_editors() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "://" not in schema["$id"]
    assert json.loads(json.dumps(schema, allow_nan=False)) == schema


def test_every_key_of_a_suite_is_described() -> None:
    schema = json_schema()
    undescribed = [
        key
        for key, part in schema["properties"].items()
        if "description" not in part and "$ref" not in part
    ]
    assert undescribed == []


def test_every_reference_leads_somewhere() -> None:
    schema = json_schema()
    names = re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema))
    assert set(names) <= set(schema["$defs"])
    assert {"ModelChoice", "SGD", "Overrides"} <= set(names)


def test_the_export_is_a_fresh_copy_each_time() -> None:
    json_schema()["properties"].clear()
    assert json_schema()["properties"]
