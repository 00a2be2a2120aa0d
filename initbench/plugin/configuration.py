"""Configurations: what a suite or a caller gives, checked against what a class declares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from initbench.errors import UserError

ModelT = TypeVar("ModelT", bound=BaseModel)


def configured(what: str, schema: type[ModelT], given: Mapping[str, Any]) -> ModelT:
    """Return the configuration `given`, checked and completed.

    It is validated strictly, but as JSON: a list is fine where a tuple is declared.

    Args:
        what: the subject of error messages, such as "initialiser `he`".
        schema: the declared configuration.
        given: keys and values as read from YAML, or as passed in Python.

    Raises:
        UserError: one line for each mistake, with the closest valid key.
    """
    try:
        text = to_json(given)
    except (PydanticSerializationError, ValueError) as error:
        raise UserError(
            f"{what}: expected numbers, strings, booleans, lists and mappings: {error}"
        ) from error
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        from initbench.suite.messages import as_error, problems_of
        from initbench.suite.yaml_reader import Mark, node_of

        tree = node_of(json.loads(text), Mark(what))
        raise as_error(problems_of(error, schema.model_json_schema(), tree)) from None


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes`, mapping by mapping.

    A changed mapping that has a `name` replaces the old one whole: keys of another optimiser
    or schedule mean nothing to it.

    >>> merged({"epochs": 9, "optimiser": {"name": "sgd", "lr": 0.1}}, {"optimiser": {"lr": 0.2}})
    {'epochs': 9, 'optimiser': {'name': 'sgd', 'lr': 0.2}}
    """
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping) and "name" not in value:
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result
