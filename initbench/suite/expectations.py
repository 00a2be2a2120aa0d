"""What a JSON Schema expects and what a value is, in plain words for error messages.

Working from the schema, and not from pydantic's wording, gives one voice for the suite language
and for the configuration of every plugin.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from initbench.errors import closest
from initbench.suite.schema import LABEL_PATTERN, LINE_PATTERN, NAME_PATTERN
from initbench.suite.yaml_reader import looks_special, shorten, write_value

Schema = Mapping[str, Any]

_PATTERNS = {
    NAME_PATTERN: "a name (letters, digits, `_`, `.`, `/`, `-`)",
    LINE_PATTERN: "one line of text",
    LABEL_PATTERN: "one line of text without quotes",
}
_BOUNDS = (
    ("minimum", "at least"),
    ("exclusiveMinimum", "above"),
    ("maximum", "at most"),
    ("exclusiveMaximum", "below"),
)
_SPELLINGS_OF_TRUE = ("yes", "on", "y", "t")
_SPELLINGS_OF_FALSE = ("no", "off", "n", "f")


class Expectations:
    """The schema of a whole document, asked about its parts."""

    def __init__(self, root: Schema) -> None:
        self.root = root

    def below(self, schema: Schema, step: str | int, value: Any) -> Schema:
        """Return the schema of what is at `step` inside a `value` that `schema` describes."""
        for branch in self._matching(schema, value):
            if isinstance(step, int):
                return _item(branch, step)
            return _property(branch, step)
        return {}

    def keys(self, schema: Schema, value: Any) -> list[str]:
        """Return the keys that a mapping `value` may have."""
        branches = self._matching(schema, value)
        return list(dict.fromkeys(key for b in branches for key in b.get("properties", {})))

    def names(self, schema: Schema, key: str) -> list[str]:
        """Return the values of `key` by which the alternatives of a schema are told apart."""
        return [branch["properties"][key]["const"] for branch in self._branches(schema)]

    def describe(self, schema: Schema, value: Any = None) -> str:
        """Say what is expected; where some alternatives have the type of `value`, only these."""
        branches = self._matching(schema, value)
        if not branches or any("const" in branch for branch in branches):
            branches = self._branches(schema)
        words = [_describe(branch, value) for branch in branches]
        return _alternatives(list(dict.fromkeys(word for word in words if word)))

    def hint(self, schema: Schema, value: Any) -> str:
        """Say how to repair the commonest slips; empty where there is nothing to say."""
        branches = self._branches(schema)
        types = {branch.get("type") for branch in branches}
        if isinstance(value, str):
            return _hint_for_string(value, types, branches)
        if types == {"string"} and isinstance(value, int | float):
            return f'put it in quotes: "{write_value(value)}"'
        if types == {"array"} and isinstance(value, dict | int | float):
            return f"write it as a list: [{shorten(write_value(value))}]"
        return ""

    def _branches(self, schema: Schema) -> list[Schema]:
        """Return the alternatives of a schema without those that allow nothing but null."""
        schema = self._resolve(schema)
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if not alternatives:
            return [schema]
        return [
            branch
            for alternative in alternatives
            for branch in self._branches(alternative)
            if branch.get("type") != "null"
        ]

    def _matching(self, schema: Schema, value: Any) -> list[Schema]:
        """Return the alternatives of the value's type and, where one is named, of its name."""
        branches = [b for b in self._branches(schema) if b.get("type") in _types_of(value)]
        name = value.get("name") if isinstance(value, Mapping) else None
        named = [b for b in branches if _constant_name(b) == name]
        return named if name is not None and named else branches

    def _resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self.root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return schema


def got(value: Any) -> str:
    """Say what a value is: `the string "abc"`, `the number 3`, `an empty list`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{write_value(value)}`"
    if isinstance(value, int | float):
        return f"the number {write_value(value)}"
    if isinstance(value, str):
        return f"the string {json.dumps(shorten(value), ensure_ascii=False)}"
    if isinstance(value, list):
        return f"a list of {_counted(len(value), 'item')}" if value else "an empty list"
    return "a mapping" if value else "an empty mapping"


def suggestion(name: str, known: list[str]) -> str:
    """Return the end of a message about an unknown name: the closest ones, or all there are."""
    if near := closest(name, known):
        return f"did you mean {_alternatives([f'`{n}`' for n in near])}?"
    return f"known: {', '.join(f'`{n}`' for n in known)}" if known else ""


def describe_name() -> str:
    """Say what a name is."""
    return _PATTERNS[NAME_PATTERN]


def _item(schema: Schema, index: int) -> Schema:
    prefix: list[Schema] = schema.get("prefixItems", [])
    items: Schema = schema.get("items", {})
    return prefix[index] if index < len(prefix) else items


def _property(schema: Schema, key: str) -> Schema:
    properties: dict[str, Schema] = schema.get("properties", {})
    if key in properties:
        return properties[key]
    patterns: dict[str, Schema] = schema.get("patternProperties", {})
    for pattern, found in patterns.items():
        if re.search(pattern, key):
            return found
    others = schema.get("additionalProperties")
    return others if isinstance(others, Mapping) else {}


def _constant_name(schema: Schema) -> Any:
    return schema.get("properties", {}).get("name", {}).get("const")


def _types_of(value: Any) -> tuple[str, ...]:
    """Return the JSON Schema types that come closest to the type of a value."""
    if isinstance(value, bool):
        return ("boolean",)
    if isinstance(value, int | float):
        return ("integer", "number")
    names = ((str, "string"), (list, "array"), (dict, "object"))
    return tuple(name for kind, name in names if isinstance(value, kind))


def _describe(schema: Schema, value: Any) -> str:
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    if allowed:
        return _alternatives([f"`{write_value(value)}`" for value in allowed])
    if schema.get("type") == "string":
        return _describe_string(schema, value)
    describe = _DESCRIBERS.get(schema.get("type", ""))
    return describe(schema) if describe else ""


def _describe_number(schema: Schema) -> str:
    noun = "a whole number" if schema["type"] == "integer" else "a number"
    bounds = [f"{word} {write_value(schema[key])}" for key, word in _BOUNDS if key in schema]
    of = " of" if bounds and bounds[0].startswith("at") else ""
    return f"{noun}{of} {' and '.join(bounds)}" if bounds else noun


def _describe_string(schema: Schema, value: Any) -> str:
    pattern = schema.get("pattern")
    if pattern is None:
        noun = "a string"
    else:
        noun = _PATTERNS.get(pattern, f"a string that matches `{pattern}`")
    if isinstance(value, str):
        if len(value) > schema.get("maxLength", len(value)):
            return f"{noun} of at most {schema['maxLength']} characters, not {len(value)}"
        if len(value) < schema.get("minLength", 0):
            return f"{noun} of at least {_counted(schema['minLength'], 'character')}"
    return noun


def _describe_array(schema: Schema) -> str:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if least and least == most:
        return f"a list of {_counted(least, 'item')}"
    if least:
        return f"a list of at least {_counted(least, 'item')}"
    return f"a list of at most {_counted(most, 'item')}" if most is not None else "a list"


def _describe_object(schema: Schema) -> str:
    required = [f"`{key}`" for key in schema.get("required", ())]
    return "a mapping with " + ", ".join(required) if required else "a mapping"


_DESCRIBERS: dict[str, Callable[[Schema], str]] = {
    "integer": _describe_number,
    "number": _describe_number,
    "boolean": lambda schema: "`true` or `false`",
    "array": _describe_array,
    "object": _describe_object,
}


def _hint_for_string(value: str, types: set[str | None], branches: list[Schema]) -> str:
    if "boolean" in types:
        if value.lower() in _SPELLINGS_OF_TRUE:
            return "write `true`"
        if value.lower() in _SPELLINGS_OF_FALSE:
            return "write `false`"
    if types & {"integer", "number"} and re.match(r"[-+.]?[0-9]", value):
        if looks_special(value):
            return "leave out the quotes"
        return "numbers are decimal, without leading zeros, `_`, `:` or units"
    choices = [b["const"] for b in branches if "const" in b]
    choices += [choice for b in branches for choice in b.get("enum", ())]
    if near := closest(value, [choice for choice in choices if isinstance(choice, str)], 1):
        return f"did you mean `{near[0]}`?"
    return f"write it as a list: [{shorten(write_value(value))}]" if types == {"array"} else ""


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _alternatives(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
