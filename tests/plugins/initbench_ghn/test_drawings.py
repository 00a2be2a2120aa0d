"""Drawings and accounts: nothing is missing, nothing overlaps, and text stays text."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from initbench_ghn import scatter, svg
from initbench_ghn.account import account
from initbench_ghn.architecture import Architecture
from initbench_ghn.network import GHN
from initbench_ghn.picture import _lanes, picture
from initbench_ghn.tracing import trace
from torch import Tensor, nn

from initbench.api import UserError
from initbench.models.tracing import anatomy
from tests.plugins.initbench_ghn.networks import Cnn3, ResNet

SVG = "{http://www.w3.org/2000/svg}"
IMAGE = (3, 32, 32)


def read(drawn: ElementTree.Element) -> ElementTree.Element:
    return ElementTree.fromstring(ElementTree.tostring(drawn))


def boxes(drawn: ElementTree.Element) -> list[tuple[float, float, float]]:
    """Return the left, right and upper side of each node."""
    found = []
    for group in read(drawn).findall(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        assert rect is not None
        x, y, width = (float(rect.attrib[key]) for key in ("x", "y", "width"))
        found.append((x, x + width, y))
    return found


class Branches(nn.Module):
    """Three branches of different length, and a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Conv2d(3, 3, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.a(x), self.c(self.b(x)), self.d(x)], 1) + self.a(x).repeat(
            1, 3, 1, 1
        )


@pytest.mark.parametrize("network", [ResNet(), Cnn3(), Branches()], ids=["resnet", "cnn", "wide"])
def test_every_node_and_every_edge_is_drawn_and_boxes_do_not_overlap(network: nn.Module) -> None:
    graph = trace(network, IMAGE)
    drawn = picture(graph, "some network")
    found = boxes(drawn)
    assert len(found) == len(graph)
    assert len(read(drawn).findall(f"{SVG}path")) == len(graph.edges)
    for i, (left, right, top) in enumerate(found):
        for other_left, other_right, other_top in found[i + 1 :]:
            apart = left >= other_right or other_left >= right or abs(top - other_top) > 20
            assert apart
    root = read(drawn)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert max(right for _, right, _ in found) < width
    assert max(top for *_, top in found) + 20 < height


def test_edges_run_downwards() -> None:
    graph = trace(ResNet(), IMAGE)
    assert all(graph.depths[u] < graph.depths[v] for u, v in graph.edges)


def test_shortcuts_that_overlap_have_lanes_of_their_own() -> None:
    assert _lanes([(0, 3), (3, 6), (1, 5), (0, 9)]) == [0, 0, 1, 2]


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    network = nn.Sequential()
    network.add_module("<script>alert(1)</script>&\x00", nn.Linear(3, 2))
    network.add_module("pool", nn.Flatten())
    graph = trace(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), network), IMAGE)
    svg.save(picture(graph, "<b>"), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "<script>" not in text
    root = ElementTree.fromstring(text)
    assert any("<script>alert(1)</script>&\ufffd" in (x.text or "") for x in root.iter())
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_a_drawing_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        svg.save(svg.drawing(10, 10, "x"), tmp_path / "none" / "a.svg")


class Partly(nn.Module):
    """A linear layer, a group norm, and a scale that belongs to no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc = nn.GroupNorm(1, 3), nn.Linear(3, 4)
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(x).mean((2, 3))) * self.scale[0]  # type: ignore[no-any-return]


def test_an_account_has_every_parameter_once() -> None:
    network = Partly()
    graph = trace(network, IMAGE)
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    found = account(graph, anatomy(network), shapes)
    rules = {share.rule: (share.tensors, share.values) for share in found.shares}
    assert rules == {
        "predicted": (2, 16),
        "as the model made it": (1, 5),
        "scale 1": (1, 3),
        "shift 0": (1, 3),
    }
    assert found.values == sum(p.numel() for p in network.parameters())
    assert " 59.259 %  predicted (2 tensors)" in found.lines()


def test_an_account_counts_what_a_slow_search_counts() -> None:
    graph = trace(Branches(), IMAGE)
    network = Branches()
    found = account(graph, anatomy(network), {})
    longest = [0] * len(graph)
    shortest: dict[tuple[int, int], int] = {}
    for start in range(len(graph)):
        reached = {start}
        for distance in range(1, len(graph)):
            reached = {v for u, v in graph.edges if u in reached}
            for node in reached:
                shortest.setdefault((start, node), distance)
                longest[node] = max(longest[node], distance)
    assert found.depth == max(longest)
    assert found.distance == max(shortest.values())
    assert found.virtual_edges == sum(distance > 1 for distance in shortest.values())


def test_components_are_those_of_the_covariance() -> None:
    points = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)).double()
    found = scatter.components(points)
    values, vectors = torch.linalg.eigh(torch.cov(points.T))
    expected = (points - points.mean(0)) @ vectors[:, [-1, -2]]
    torch.testing.assert_close(found.places.abs(), expected.abs())
    assert found.shares == pytest.approx((values[[-1, -2]] / values.sum()).tolist())


def test_labels_of_points_do_not_hide_each_other() -> None:
    places = torch.tensor([[0.0, 0.0], [0.01, 0.001], [0.02, 0.002], [1.0, 1.0], [0.99, 1.0]])
    labels = [f"architecture {i}" for i in range(5)]
    drawn = read(scatter.scatter(scatter.Components(places, (0.7, 0.2)), labels, "x"))
    found = [x for x in drawn.iter(f"{SVG}text") if (x.text or "").startswith("architecture")]
    at: list[tuple[float, float]] = [(float(x.attrib["x"]), float(x.attrib["y"])) for x in found]
    assert len(at) == 5
    for i, (x, y) in enumerate(at):
        assert all(abs(x - a) > 80 or abs(y - b) > 12 for a, b in at[i + 1 :])


def test_the_embedding_of_an_architecture_is_the_mean_of_its_nodes() -> None:
    torch.manual_seed(0)
    ghn: Any = GHN(Architecture(hid=8)).eval()
    graphs = [trace(Cnn3(), IMAGE), trace(ResNet(), IMAGE)]
    found = scatter.embeddings(ghn, graphs)
    alone = ghn.embeddings([graphs[1]])[0].mean(0)
    torch.testing.assert_close(found[1], alone, rtol=1e-4, atol=1e-5)
