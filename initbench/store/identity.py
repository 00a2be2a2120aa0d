"""Keys: digests over visible trees.

A key is the SHA-256 of the canonical JSON form of a tree, so two keys can be compared leaf by leaf
and "why was this not cached?" always has an answer.

Canonical form: object keys sorted, no white space, UTF-8, numbers as Python's shortest repr, with
integers and floats kept apart (`1` and `1.0` differ: schemas settle the type before a key is made);
NaN and infinities are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_SCALARS = frozenset({str, int, float, bool, type(None)})
_ALLOWED = "a key tree holds objects with string keys, lists, strings, numbers, booleans, null"


def canonical(tree: Any) -> bytes:
    """Return the one byte string that stands for `tree`.

    >>> canonical({"b": 1.0, "a": [True, None]})
    b'{"a":[true,null],"b":1.0}'
    """
    _check(tree, "")
    return canonical_again(tree)


def canonical_again(tree: Any) -> bytes:
    """Return the canonical form of a tree that `json.loads` made, which needs no check."""
    return json.dumps(
        tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(tree: Any) -> str:
    """Return the key of `tree`: 64 hexadecimal digits."""
    return hashlib.sha256(canonical(tree)).hexdigest()


@dataclass(frozen=True)
class Difference:
    """One leaf in which two trees differ; a side that lacks the leaf shows `missing`."""

    path: str
    left: Any
    right: Any


MISSING = "(missing)"


def differences(left: Any, right: Any, path: str = "") -> Iterator[Difference]:
    """Yield every leaf in which the two trees differ, in path order."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for name in sorted({*left, *right}):
            below = f"{path}.{name}" if path else name
            if name in left and name in right:
                yield from differences(left[name], right[name], below)
            else:
                yield Difference(below, left.get(name, MISSING), right.get(name, MISSING))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            yield from differences(a, b, f"{path}[{i}]")
    elif canonical(left) != canonical(right):  # as keys see it: 1, 1.0 and True differ
        yield Difference(path or "(root)", left, right)


def _check(tree: Any, path: str) -> None:
    if isinstance(tree, dict):
        for name, value in tree.items():
            if not isinstance(name, str):
                raise TypeError(f"{_ALLOWED}; `{path}` has the key {name!r}")
            _check(value, f"{path}.{name}")
    elif isinstance(tree, list):
        if not _SCALARS.issuperset(map(type, tree)):  # curves are long lists of plain numbers
            for i, value in enumerate(tree):
                _check(value, f"{path}[{i}]")
    elif not (tree is None or isinstance(tree, str | int | float | bool)):
        raise TypeError(f"{_ALLOWED}; `{path}` is a {type(tree).__name__}")
