"""The suite language as JSON Schema: for editors, and for the words of error messages."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from initbench.suite.schema import Name, Suite
from initbench.training.recipe import Recipe

Schema = dict[str, Any]


@cache
def recipe_schema() -> Schema:
    """Return the schema of a complete recipe."""
    return Recipe.model_json_schema()


def json_schema() -> Schema:
    """Return the schema of a suite file (draft 2020-12), short forms and recipes included.

    It accepts every valid suite. What depends on installed plugins, on several keys at once or on
    whether a recipe is complete is checked when a suite is loaded and expanded.
    """
    schema = Suite.model_json_schema()
    recipe = Recipe.model_json_schema()
    definitions: dict[str, Schema] = schema["$defs"] | recipe["$defs"]
    for name in recipe["$defs"]:
        definitions[name] = _partial(definitions[name])
    in_place = definitions["RecipeChoice"]
    in_place["properties"] |= {key: _partial(value) for key, value in recipe["properties"].items()}
    in_place["additionalProperties"] = False
    for name in (
        "ModelChoice",
        "DatasetChoice",
        "InitialiserChoice",
        "MeasureChoice",
        "PublishedLink",
    ):
        definitions[name] = _or_name(definitions[name])
    definitions["RecipeChoice"] = _or_name(in_place)
    overrides = definitions["Overrides"]["properties"]
    overrides["comparisons"] = _partial(definitions["Comparisons"])
    # pydantic says what profiles with a valid name are, and leaves open whether others may be.
    schema["properties"]["profiles"]["additionalProperties"] = False
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "initbench-suite",
        **schema,
        "$defs": definitions,
    }


def _partial(schema: Schema) -> Schema:
    """Return a schema that allows keys to be left out, as changes to something complete do."""
    partial = {k: v for k, v in schema.items() if k not in ("required", "oneOf", "discriminator")}
    if "oneOf" in schema:
        # Without the required keys, several alternatives may fit.
        partial["anyOf"] = schema["oneOf"]
    return partial


def _or_name(schema: Schema) -> Schema:
    """Return a schema that accepts a name alone as well."""
    description = schema.pop("description")
    return {"description": description, "anyOf": [TypeAdapter(Name).json_schema(), schema]}
