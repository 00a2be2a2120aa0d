"""Graphs by architecture: networks that are built alike share one.

Two networks are built alike if the same modules have the same plain attributes and shapes, by name.
A network that keeps anything else (a closure, an object without a plain content) is traced anew.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from initbench_ghn.graph import Graph
from initbench_ghn.tracing import trace

GRAPHS_AT_ONCE = 64

_graphs: OrderedDict[str, Graph] = OrderedDict()
_SIMPLE = bool | int | float | str | bytes | enum.Enum | torch.dtype | torch.device
_OF_TORCH = frozenset(vars(nn.Module())) | {"training"}


def graph_of(network: nn.Module, image: tuple[int, int, int]) -> Graph:
    """Return the graph of `network`, as `trace` does, from memory where it was traced before."""
    key = fingerprint(network, image)
    if key is None:
        return trace(network, image)
    if key not in _graphs:
        _graphs[key] = trace(network, image)
        if len(_graphs) > GRAPHS_AT_ONCE:
            _graphs.popitem(last=False)
    _graphs.move_to_end(key)
    return _graphs[key]


def fingerprint(network: nn.Module, image: tuple[int, int, int]) -> str | None:
    """Return a digest of the architecture; None where not everything about it can be read."""
    try:
        content = "\n".join((str(image), *_lines(network)))
    except _UnknownContentError:
        return None
    return hashlib.sha256(content.encode()).hexdigest()


class _UnknownContentError(Exception):
    """An attribute may hold anything."""


def _lines(network: nn.Module) -> Iterator[str]:
    numbers: dict[int, int] = {}  # of modules and tensors, so that sharing shows
    for name, module in network.named_modules(remove_duplicate=False):
        number = numbers.setdefault(id(module), len(numbers))
        yield f"{name} {number} {_named(type(module))}"
        if module._forward_hooks or module._forward_pre_hooks:
            raise _UnknownContentError
        for local, tensor in (*module._parameters.items(), *module._buffers.items()):
            shape = None if tensor is None else (tuple(tensor.shape), str(tensor.dtype))
            yield f"{local} {numbers.setdefault(id(tensor), len(numbers))} {shape}"
        for attribute, value in vars(module).items():
            if attribute not in _OF_TORCH:
                yield f"{attribute} {_plain(value)}"


def _plain(value: Any) -> str:
    if value is None or isinstance(value, _SIMPLE):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"({','.join(map(_plain, value))})"
    if isinstance(value, Mapping):
        return _plain([*value.items()])
    if isinstance(value, functools.partial):
        return _plain((value.func, value.args, value.keywords))
    if isinstance(value, type | types.BuiltinFunctionType):
        return _named(value)
    if isinstance(value, types.FunctionType) and value.__closure__ is None:
        return _named(value) + hashlib.sha256(value.__code__.co_code).hexdigest()
    raise _UnknownContentError


def _named(thing: type | Callable[..., Any]) -> str:
    return f"{thing.__module__}.{thing.__qualname__} {id(thing)}"
