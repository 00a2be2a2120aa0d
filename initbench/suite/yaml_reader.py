"""YAML of which every part knows where it was written.

The language is YAML 1.2 with the traps taken out:

* `true` and `false` are the only booleans: `no`, `on` and `yes` are strings.
* Numbers are decimal, `1e-3` included; `012`, `1_000`, `0x10`, `1:30` and dates are strings.
* Keys are strings and occur once; no tags, no merge keys, one document, finite numbers.
* Size, depth and the number of values after all aliases are expanded are bounded.

Whatever the bytes are, the outcome is a `Node` or a `UserError`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from initbench.errors import UserError

Scalar = str | int | float | bool | None
NodePath = tuple[str | int, ...]

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_VALUES = 20_000
"""Of a document, with every alias counted as often as it is used."""

_MAX_INTEGER_DIGITS = 18
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_CONTROL = re.compile(
    r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    r"|[\u202a-\u202e\u2066-\u2069]"  # these reverse the order in which text is shown
)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, order=True)
class Mark:
    """Where something was written; line and column count from 1, both 0 outside of a file."""

    origin: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.origin}:{self.line}:{self.column}" if self.line else self.origin


@dataclass(frozen=True)
class Node:
    """A value with its mark: a scalar, or a mapping or list of further nodes. Never modified."""

    value: dict[str, Node] | list[Node] | Scalar
    mark: Mark
    key_mark: Mark | None = None
    """Where the key of this value was written, if it has one."""

    def plain(self) -> Any:
        """Return the value without marks: what a YAML loader would have returned."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def child(self, step: str | int) -> Node | None:
        """Return the value under a key or at an index, or None if there is none."""
        if isinstance(self.value, dict) and isinstance(step, str):
            return self.value.get(step)
        if isinstance(self.value, list) and isinstance(step, int):
            return self.value[step] if 0 <= step < len(self.value) else None
        return None

    def nearest(self, path: NodePath) -> Node:
        """Return the node at `path` or, where the path leaves the tree, the last one on it."""
        node = self
        for step in path:
            below = node.child(step)
            if below is None:
                break
            node = below
        return node

    def with_child(self, step: str | int, child: Node) -> Node:
        """Return a copy in which `child` stands under the key or at the index `step`."""
        if isinstance(self.value, list) and isinstance(step, int):
            return replace(self, value=[*self.value[:step], child, *self.value[step + 1 :]])
        assert isinstance(self.value, dict)
        assert isinstance(step, str)
        return replace(self, value={**self.value, step: child})


def node_of(tree: Any, mark: Mark) -> Node:
    """Return a plain tree as nodes that all carry the same mark."""
    if isinstance(tree, dict):
        return Node({key: node_of(child, mark) for key, child in tree.items()}, mark)
    if isinstance(tree, list):
        return Node([node_of(child, mark) for child in tree], mark)
    return Node(tree, mark)


def read_file(path: Path, shown: str) -> str:
    """Return the text of a UTF-8 file of at most `MAX_BYTES`; `shown` is its name in messages."""
    try:
        if not path.is_file():
            raise UserError(f"`{shown}` is not a regular file; give the path of a YAML file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot read `{shown}`: {reason}") from error
    if len(data) > MAX_BYTES:
        raise UserError(f"`{shown}` is larger than {MAX_BYTES >> 20} MiB, too large for a suite")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{shown}:{line}: not UTF-8 text (byte 0x{data[error.start]:02x}); "
            "save the file with the encoding UTF-8"
        ) from None


def read_document(text: str, origin: str) -> Node:
    """Return the one document of a text; `origin` names the text in marks and messages."""
    node = _read(text, lambda line, column: Mark(origin, line, column))
    if node is None:
        raise UserError(f"{origin}: empty; a suite starts with `title: ...`")
    return node


def read_value(text: str, origin: str) -> Node:
    """Return a value given in one line, such as `3`, `fan_out` or `[0, 1]`; nothing is null."""
    mark = Mark(origin)
    return _read(text, lambda line, column: mark) or Node(None, mark)


def write_value(tree: Any) -> str:
    """Return one line that `read_value` reads as `tree`, as readable as possible.

    >>> write_value("fan_out"), write_value("1e-3"), write_value([0, 1])
    ('fan_out', '"1e-3"', '[0, 1]')
    """
    if isinstance(tree, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", tree):
        return tree if not looks_special(tree) else json.dumps(tree)
    return json.dumps(tree, ensure_ascii=False)


def write_document(tree: dict[str, Any]) -> str:
    """Return a document that `read_document` reads as `tree`."""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Writes what `read_document` reads back as it was.

    Strings that this language or YAML 1.1 takes for something else, `1e-3` and `no`, get quotes.
    """

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        # Lists are indented below their key.
        super().increase_indent(flow, False)


class _Loader(yaml.SafeLoader):
    """Composes nodes only; refuses tags and bounds depth and size while it reads."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            tag = shorten(event.tag.replace("tag:yaml.org,2002:", "!!"))
            raise _RefusedError(f"tags such as `{tag}` are not allowed", event.start_mark)
        self.depth += 1
        self.values += 1
        if self.depth > MAX_DEPTH:
            raise _RefusedError(f"nested more than {MAX_DEPTH} levels deep", event.start_mark)
        if self.values > MAX_VALUES:
            raise _RefusedError(f"more than {MAX_VALUES} values", event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _tag, _pattern in (
    ("null", _NULL),
    ("bool", _BOOLEAN),
    ("int", _INTEGER),
    ("float", _FLOAT),
    ("float", _NOT_FINITE),
):
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern.pattern})$"), None
    )


class _RefusedError(Exception):
    """Valid YAML that this language does not have."""

    def __init__(self, problem: str, mark: yaml.Mark) -> None:
        super().__init__(problem)
        self.problem = problem
        self.mark = mark


def _read(text: str, mark: Callable[[int, int], Mark]) -> Node | None:
    """Return the document of a text, or None where there is none."""
    if stray := _control_character(text):
        before = text[: stray.start()]
        line, column = before.count("\n") + 1, stray.start() - before.rfind("\n")
        raise UserError(f"{mark(line, column)}: {_describe_control(stray.group())} in the text")
    at: yaml.Mark | None
    loader: Any = _Loader(text)
    try:
        root = loader.get_single_node()
        return None if root is None else _Builder(mark).build(root).node
    except _RefusedError as error:
        problem, at = error.problem, error.mark
    except yaml.MarkedYAMLError as error:
        problem, at = _explain(error), error.problem_mark or error.context_mark
    except (ValueError, OverflowError):
        # PyYAML converts escapes and directives without looking: \UFFFFFFFF, %YAML 1.999...
        problem, at = "not valid YAML: a number or an escape out of range", loader.get_mark()
    where = mark(at.line + 1, at.column + 1) if at else mark(1, 1)
    raise UserError(f"{where}: {problem}")


@dataclass(frozen=True)
class _Built:
    """A node with its size once all aliases are expanded."""

    node: Node
    values: int
    depth: int


class _Builder:
    """Turns composed nodes into ours; an aliased node is built once and shared."""

    def __init__(self, mark: Callable[[int, int], Mark]) -> None:
        self.mark = mark
        self.done: dict[int, _Built] = {}
        self.open: set[int] = set()

    def build(self, source: Any) -> _Built:
        if id(source) in self.open:
            raise _RefusedError("this anchor contains itself", source.start_mark)
        if id(source) not in self.done:
            self.open.add(id(source))
            built = self._build(source)
            self.open.remove(id(source))
            if built.values > MAX_VALUES:
                raise _RefusedError(
                    f"more than {MAX_VALUES} values once all aliases are expanded",
                    source.start_mark,
                )
            if built.depth > MAX_DEPTH:
                raise _RefusedError(
                    f"nested more than {MAX_DEPTH} levels deep once all aliases are expanded",
                    source.start_mark,
                )
            self.done[id(source)] = built
        return self.done[id(source)]

    def _build(self, source: Any) -> _Built:
        mark = self._mark(source)
        if isinstance(source, yaml.ScalarNode):
            return _Built(Node(self._scalar(source), mark), 1, 1)
        if isinstance(source, yaml.SequenceNode):
            items = [self.build(item) for item in source.value]
            return _around(Node([item.node for item in items], mark), items)
        children: dict[str, _Built] = {}
        for key_source, value_source in source.value:
            key = self._key(key_source)
            key_mark = self._mark(key_source)
            if key in children:
                first = children[key].node.key_mark
                raise _RefusedError(
                    f"the key `{shorten(key)}` is here a second time (first: {first})",
                    key_source.start_mark,
                )
            value = self.build(value_source)
            children[key] = replace(value, node=replace(value.node, key_mark=key_mark))
        values = {key: child.node for key, child in children.items()}
        return _around(Node(values, mark), list(children.values()))

    def _key(self, source: Any) -> str:
        value = self._scalar(source) if isinstance(source, yaml.ScalarNode) else None
        if not isinstance(value, str) or not value:
            got = f"`{shorten(source.value)}`" if isinstance(source.value, str) else "a collection"
            raise _RefusedError(f"a key has to be a string, got {got}", source.start_mark)
        if value == "<<" and source.style is None:
            raise _RefusedError(
                "merge keys (`<<`) are not part of YAML 1.2; repeat the keys, or use an alias "
                "for a whole value",
                source.start_mark,
            )
        return value

    def _scalar(self, source: Any) -> Scalar:
        if stray := _control_character(source.value):
            raise _RefusedError(
                f"{_describe_control(stray.group())} in a string", source.start_mark
            )
        if source.style is not None:
            return str(source.value)
        text, mark = str(source.value), source.start_mark
        if _INTEGER.fullmatch(text) and len(text.lstrip("+-")) > _MAX_INTEGER_DIGITS:
            raise _RefusedError(
                f"a number of more than {_MAX_INTEGER_DIGITS} digits; text needs quotes", mark
            )
        value = _scalar(text)
        if _NOT_FINITE.fullmatch(text) or (isinstance(value, float) and not math.isfinite(value)):
            raise _RefusedError(f"`{shorten(text)}` is not a finite number", mark)
        return value

    def _mark(self, source: Any) -> Mark:
        return self.mark(source.start_mark.line + 1, source.start_mark.column + 1)


def _around(node: Node, children: list[_Built]) -> _Built:
    """Return the built form of a collection of these children."""
    return _Built(
        node,
        values=1 + sum(child.values for child in children),
        depth=1 + max((child.depth for child in children), default=0),
    )


def looks_special(text: str) -> bool:
    """Say whether a scalar without quotes would be read as something else than a string."""
    return any(
        pattern.fullmatch(text) for pattern in (_NULL, _BOOLEAN, _INTEGER, _FLOAT, _NOT_FINITE)
    )


def _scalar(text: str) -> Scalar:
    """Return the value of a scalar written without quotes."""
    if _NULL.fullmatch(text):
        return None
    if _BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _control_character(text: str) -> re.Match[str] | None:
    """Find the first character that no suite needs and that could deceive a terminal or page."""
    return _CONTROL.search(text)


def _describe_control(character: str) -> str:
    return f"the control character U+{ord(character):04X}"


_EXPLANATIONS = {
    "found character '\\t' that cannot start any token": "a tab; indent with spaces",
    "mapping values are not allowed here": (
        "a `:` where none can be; check the indentation, or put text with `: ` in it in quotes"
    ),
    "could not find expected ':'": "a key without `:` behind it",
    "but found another document": "a second document; a suite file holds one",
    "second occurrence": "this anchor has been defined before",
}
"""Plain words for the parser's commonest complaints."""


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem or error.context or "unreadable")
    if problem in _EXPLANATIONS:
        return _EXPLANATIONS[problem]
    context = f" ({error.context})" if error.context and error.problem else ""
    return f"not valid YAML: {problem}{context}"


def shorten(text: str, limit: int = 60) -> str:
    """Return the text for use in a message: one line, its end left out where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
