"""Golden vectors of the released code, and graphs as sets that do not depend on the node order."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from initbench_ghn.graph import Graph
from safetensors import safe_open
from torch import Tensor

HERE = Path(__file__).parent / "golden"
"""The small golden files."""

GOLDEN = os.environ.get("INITBENCH_GOLDEN")
"""The folder of all golden vectors, read before the tests' own environment is made."""


def golden_file(name: str) -> Path:
    """Return a golden file; skip the test where it is not at hand."""
    for path in (HERE / name, Path(GOLDEN or HERE) / "ghn" / name):
        if path.exists():
            return path
    pytest.skip(f"no `{name}`: INITBENCH_GOLDEN does not name the folder of golden vectors")


def golden(name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the metadata of a golden file."""
    with safe_open(golden_file(name), "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = {
            key: json.loads(x) for key, x in (file.metadata() or {}).items() if x[0] in "[{"
        }
    return tensors, metadata


Edges = Counter[tuple[str, str]]


def labelled(graph: Graph) -> tuple[Counter[tuple[Any, ...]], Edges]:
    """Return nodes and edges with labels in the place of numbers: parameters, or primitives."""
    labels = [node.parameter or node.primitive for node in graph.nodes]
    nodes = Counter(
        (label, x.primitive, x.size) for label, x in zip(labels, graph.nodes, strict=True)
    )
    return nodes, Counter((labels[u], labels[v]) for u, v in graph.edges)


def golden_graph(tensors: dict[str, Tensor], metadata: dict[str, Any]) -> tuple[Any, Edges]:
    """Return the same of a golden graph."""
    names, primitives = metadata["node_names"], metadata["node_ops"]
    parameters = ("conv", "sep_conv", "dil_conv", "bias", "bn", "ln", "pos_enc")
    labels = [n if p in parameters else p for n, p in zip(names, primitives, strict=True)]
    sizes = [None if row[0] < 0 else tuple(row) for row in tensors["graph.node_size4"].tolist()]
    if "graph.adj" in tensors:
        edges = (tensors["graph.adj"] == 1).nonzero().tolist()
    else:
        edges = tensors["graph.edges_1hop"].tolist()
    nodes = Counter(zip(labels, primitives, sizes, strict=True))
    return nodes, Counter((labels[u], labels[v]) for u, v in edges)


def relative(ours: Tensor, theirs: Tensor) -> float:
    """Return the l2 norm of the difference over that of the reference."""
    return float((ours - theirs).norm() / theirs.norm())


def tensors_of(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}
