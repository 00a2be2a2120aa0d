"""From validation errors to messages that say where, what, expected and got."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from initbench.errors import UserError
from initbench.suite.expectations import Expectations, Schema, describe_name, got, suggestion
from initbench.suite.paths import format_path
from initbench.suite.yaml_reader import Mark, Node, NodePath, write_value

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)

_SHOWN = 20
_EXPLAINED = 100
"""A hostile file may have many thousand mistakes, and each one is looked up in all of it."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where it was written."""

    mark: Mark
    path: NodePath
    text: str
    at_key: bool = False
    """Whether the last key of the path is what is wrong, and not its value."""
    missing: bool = False
    """Whether something is not there, which may be fine in what completes something else."""

    @classmethod
    def at(cls, root: Node, path: NodePath, text: str, *, at_key: bool = False) -> Problem:
        """Return a problem with the part of a document at `path`."""
        node = root.nearest(path)
        mark = node.key_mark if at_key and node.key_mark else node.mark
        return cls(mark, path, text, at_key)

    def within(self, root: Node, prefix: NodePath) -> Problem:
        """Return the same problem in the document in which its own is the part at `prefix`."""
        return Problem.at(root, prefix + self.path, self.text, at_key=self.at_key)

    def __str__(self) -> str:
        subject = f"`{format_path(self.path)}`: " if self.path else ""
        return f"{self.mark}: {subject}{self.text}"


class ProblemsError(UserError):
    """Everything that is wrong with a document, a line each."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        lines = list(dict.fromkeys(map(str, problems)))
        if len(lines) > _SHOWN:
            lines = [*lines[:_SHOWN], f"and {len(lines) - _SHOWN} more"]
        super().__init__("\n".join(lines))


def as_error(problems: Iterable[Problem]) -> ProblemsError:
    """Return all problems as one error, in the order in which they were written."""
    return ProblemsError(sorted(problems, key=lambda problem: problem.mark))


def validate(model: type[Model], tree: Any) -> Model:
    """Validate a plain tree strictly, as JSON: a list is fine where a tuple is declared.

    Raises:
        ValidationError: pydantic's; `problems_of` turns it into messages.
    """
    return model.model_validate_json(json.dumps(tree))


def problems_of(
    error: ValidationError, schema: Schema, root: Node, prefix: NodePath = ()
) -> list[Problem]:
    """Return pydantic's complaints about the part of a document at `prefix`.

    Args:
        error: what the validation of that part raised.
        schema: the JSON Schema of the model that validated it.
        root: the document.
        prefix: where in the document the validated part is.
    """
    explainer = _Explainer(Expectations(schema), root.nearest(prefix), prefix)
    details = error.errors(include_url=False)[:_EXPLAINED]
    return [explainer.problem(detail) for detail in details]


@dataclass(frozen=True)
class _Explainer:
    expectations: Expectations
    root: Node
    prefix: NodePath

    def problem(self, details: ErrorDetails) -> Problem:
        path, rest = _split(details["loc"], self.root)
        missing = rest[-1] if rest and isinstance(rest[-1], str) else ""
        match details["type"]:
            case "missing" if missing:
                return self._missing(path, missing)
            case "union_tag_not_found" | "union_tag_invalid":
                return self._tag(path, details["ctx"]["discriminator"].strip("'"))
            case "extra_forbidden":
                text = f"unknown key; {suggestion(str(path[-1]), self._keys(path[:-1]))}"
                return self._about(path, text, at_key=True)
            case "value_error" | "assertion_error":
                return self._about(path, str(details["ctx"]["error"]))
        if missing == "[key]":
            return self._about(path, f"expected the key to be {describe_name()}", at_key=True)
        return self._mismatch(path, self._schema(path), details["msg"])

    def _mismatch(self, path: NodePath, schema: Schema, fallback: str = "") -> Problem:
        """Say what was expected and what is there; `fallback` where the schema cannot tell."""
        value = self.root.nearest(path).plain()
        expected = self.expectations.describe(schema, value)
        if not expected:
            return self._about(path, fallback)
        text = f"expected {expected}, got {got(value)}"
        hint = self.expectations.hint(schema, value)
        return self._about(path, f"{text}; {hint}" if hint else text)

    def _missing(self, path: NodePath, key: str, schema: Schema | None = None) -> Problem:
        if schema is None:
            value = self.root.nearest(path).plain()
            schema = self.expectations.below(self._schema(path), key, value)
        text = f"missing; expected {self.expectations.describe(schema)}"
        if examples := schema.get("examples"):
            text += f", for example `{key}: {write_value(examples[0])}`"
        return replace(self._about((*path, key), text), missing=True)

    def _tag(self, path: NodePath, key: str) -> Problem:
        """Explain that the key which tells alternatives apart is missing or unknown."""
        node = self.root.nearest(path)
        names = {"enum": self.expectations.names(self._schema(path), key)}
        if not isinstance(node.value, dict):
            return self._mismatch(path, self._schema(path))
        if key not in node.value:
            return self._missing(path, key, names)
        return self._mismatch((*path, key), names)

    def _schema(self, path: NodePath) -> Schema:
        schema, node = self.expectations.root, self.root
        for step in path:
            schema = self.expectations.below(schema, step, node.plain())
            node = node.nearest((step,))
        return schema

    def _keys(self, path: NodePath) -> list[str]:
        return self.expectations.keys(self._schema(path), self.root.nearest(path).plain())

    def _about(self, path: NodePath, text: str, *, at_key: bool = False) -> Problem:
        problem = Problem.at(self.root, path, text, at_key=at_key)
        return replace(problem, path=self.prefix + path)


def _split(loc: tuple[str | int, ...], node: Node) -> tuple[NodePath, NodePath]:
    """Split pydantic's location into the steps that exist in the document and all others.

    The others are names of alternatives (`range`, `sgd`) and, last, the name of a missing key.
    """
    path: list[str | int] = []
    rest: list[str | int] = []
    for step in loc:
        below = node.child(step)
        if below is None:
            rest.append(step)
        else:
            path.append(step)
            node = below
    return tuple(path), tuple(rest)
