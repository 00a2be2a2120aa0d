from __future__ import annotations

import math

import pytest
import torch
from initbench_ghn import cache
from initbench_ghn.architecture import Architecture, Noise
from initbench_ghn.cache import fingerprint, graph_of
from initbench_ghn.network import GHN, parameters_of
from initbench_ghn.options import Head
from initbench_ghn.prediction import initialise, members
from initbench_ghn.shapes import repeat_into, repeated
from initbench_ghn.tracing import trace
from torch import Tensor, nn
from torch.nn import functional

from initbench.api import CoverageMap, Treatment
from initbench.models.tracing import anatomy
from tests.plugins.initbench_ghn.networks import Cnn3, EdgeCases, ResNet

SMALL = Architecture(hid=8, max_shape=(16, 16, 5, 5))
IMAGE = (3, 32, 32)


def small(architecture: Architecture = SMALL) -> GHN:
    torch.manual_seed(1)
    return GHN(architecture).eval()


def fill(network: nn.Module, ghn: GHN | None = None, head: Head = "predicted") -> CoverageMap:
    generator = torch.Generator().manual_seed(3)
    return initialise(
        network, ghn or small(), anatomy(network, torch.zeros(2, *IMAGE)), IMAGE, generator, head
    )


class Unusual(nn.Module):
    """Parameters of all kinds that have no primitive, a stem of two, a module applied twice."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 5, 3, padding=1)
        self.right = nn.Conv2d(3, 5, 3, padding=1)
        self.group = nn.GroupNorm(5, 5)
        self.slope = nn.PReLU(5)
        self.twice = nn.Conv2d(5, 5, 3, padding=1)
        self.up = nn.ConvTranspose2d(5, 5, 2, 2)
        self.token = nn.Parameter(torch.randn(5, 1, 1))
        self.unused = nn.Linear(3, 3)
        self.head = nn.Conv2d(5, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.slope(self.group(self.left(x) + self.right(x)))
        x = self.up(self.twice(self.twice(x))) * self.token
        return self.head(x).mean((2, 3))  # type: ignore[no-any-return]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 8, 8)
        self.position = nn.Parameter(torch.randn(1, 17, 16))
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.layer(x)[:, 0])  # type: ignore[no-any-return]


class LooksAtValues(Cnn3):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if float(x.sum()) < 1 else -x)


class Gated(nn.Module):
    """The squeeze and excitation of the released code."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.down, self.up = nn.Linear(8, 4), nn.Linear(4, 8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        gate = functional.hardswish(self.up(self.down(x.mean((2, 3))).relu()))
        return self.fc((x * gate[..., None, None]).mean((2, 3)))  # type: ignore[no-any-return]


def test_every_parameter_of_unusual_networks_is_accounted_for() -> None:
    coverage = fill(Unusual())
    assert coverage.missing() == []
    treated = {name: entry.treatment for name, entry in coverage}
    generated = {name for name, x in treated.items() if x is Treatment.GENERATED}
    convolutions = {
        f"{n}.{p}" for n in ("left", "right", "twice", "head") for p in ("weight", "bias")
    }
    assert generated == convolutions
    assert treated["group.weight"] is treated["up.weight"] is Treatment.FALLBACK
    assert treated["unused.weight"] is Treatment.FALLBACK
    assert treated["token"] is treated["slope.weight"] is Treatment.UNTOUCHED
    assert 0.75 < coverage.share(Treatment.GENERATED) < 0.85
    reasons = {name: entry.reason for name, entry in coverage}
    assert reasons["unused.bias"] == "the forward pass does not use it: zero"
    assert "native_group_norm" in reasons["group.weight"]


def test_fallback_weights_are_normal_with_variance_two_over_fan_in() -> None:
    network = nn.Sequential(nn.ConvTranspose2d(3, 64, 4), nn.Conv2d(64, 10, 1))
    fill(network)
    weight = network.get_parameter("0.weight").detach()
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / (3 * 16)), rel=0.1)
    assert float(network.get_parameter("0.bias").detach().abs().max()) == 0


def test_attention_is_one_node_and_its_projections_are_predicted() -> None:
    network = Attention()
    graph = trace(network, IMAGE)
    assert graph.counts()["msa"] == 1
    place = [x.primitive for x in graph.nodes].index("msa")
    before = {graph.nodes[u].parameter for u in graph.predecessors[place]}
    after = {graph.nodes[v].parameter for u, v in graph.edges if u == place}
    assert before == {"layer.self_attn.in_proj_bias"}
    assert after == {"layer.self_attn.out_proj.weight"}
    coverage = fill(network)
    untouched = {n for n, entry in coverage if entry.treatment is not Treatment.GENERATED}
    assert untouched == {"position", "token"}


def test_a_gate_of_channels_is_one_node() -> None:
    graph = trace(Gated(), IMAGE)
    place = [x.primitive for x in graph.nodes].index("cse")
    assert {graph.nodes[u].parameter for u in graph.predecessors[place]} == {"conv.bias", "up.bias"}


def test_two_stems_are_both_joined_to_the_input_and_a_second_use_is_a_second_node() -> None:
    graph = trace(Unusual(), IMAGE)
    assert {graph.nodes[v].parameter for u, v in graph.edges if u == 0} == {
        "left.weight",
        "right.weight",
    }
    kernels = [x.parameter for x in graph.nodes if x.shape == (5, 5, 3, 3)]
    assert kernels == ["twice.weight", None]


def test_a_forward_pass_that_looks_at_values_gives_the_same_graph() -> None:
    assert trace(LooksAtValues(), IMAGE).edges == trace(Cnn3(), IMAGE).edges


def test_prediction_leaves_everything_else_alone() -> None:
    network, ghn = ResNet(), small()
    network.train()
    network.get_submodule("layer1").eval()
    buffers = {name: x.clone() for name, x in network.named_buffers()}
    modes = [module.training for module in network.modules()]
    state = torch.get_rng_state()
    fill(network, ghn)
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(x, buffers[name]) for name, x in network.named_buffers())
    assert all(p.requires_grad and p.grad_fn is None for p in network.parameters())
    with torch.inference_mode():
        assert trace(network, IMAGE).edges == trace(network, IMAGE).edges


def test_what_is_written_is_what_is_predicted() -> None:
    network, ghn = EdgeCases(), small()
    graph = trace(network, IMAGE)
    with torch.no_grad():
        (tiles,) = ghn([graph])
    whole = parameters_of(tiles, {name: p.shape for name, p in network.named_parameters()})
    fill(network, ghn)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.detach(), whole[name], msg=name)


@pytest.mark.parametrize("shape", [(7,), (40,), (5, 3), (33, 50), (20, 17, 3, 5), (3, 3, 9, 2)])
def test_tiles_are_repeated_modulo_their_size(shape: tuple[int, ...]) -> None:
    tile = torch.randn([min(n, m) for n, m in zip(shape, (16, 16, 5, 5), strict=False)])
    places = torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")
    obvious = tile[tuple(x % n for x, n in zip(places, tile.shape, strict=True))]
    target = torch.empty(shape)
    repeat_into(target, tile)
    assert torch.equal(target, obvious)
    assert torch.equal(repeated(tile, shape), obvious)


def test_heads() -> None:
    for head, treatment in (
        ("auto", Treatment.GENERATED),
        ("predicted", Treatment.GENERATED),
        ("he", Treatment.RULE),
        ("untouched", Treatment.UNTOUCHED),
    ):
        coverage = dict(fill(Cnn3(), head=head))  # type: ignore[arg-type]
        assert coverage["fc.weight"].treatment is coverage["fc.bias"].treatment is treatment
    other = dict(fill(Cnn3(classes=7), head="auto"))
    assert other["fc.weight"].treatment is Treatment.UNTOUCHED


def test_members_of_a_noise_ghn_differ_and_are_those_that_are_drawn_one_by_one() -> None:
    ghn = small(Architecture(hid=8, max_shape=(16, 16, 3, 3), noise=Noise()))
    graph = trace(ResNet(), IMAGE)
    drawn = members(ghn, graph, [torch.Generator().manual_seed(seed) for seed in range(25)])
    assert len(drawn) == 25
    first, last = drawn[0], drawn[24]
    assert not torch.equal(first["conv1.weight"], last["conv1.weight"])
    assert not torch.equal(first["fc.weight"], last["fc.weight"])
    torch.testing.assert_close(first["bn1.weight"], last["bn1.weight"])
    noise = ghn.draw_noise(graph, torch.Generator().manual_seed(24))
    assert noise is not None
    with torch.no_grad():
        (alone,) = ghn([graph], [noise])
    for name, tile in alone.items():
        torch.testing.assert_close(last[name], tile, msg=name)


def test_several_graphs_at_once_are_predicted_as_one_by_one() -> None:
    ghn, networks = small(), [Cnn3(), EdgeCases(), ResNet()]
    graphs = [trace(network, IMAGE) for network in networks]
    with torch.no_grad():
        together = ghn(graphs)
        for graph, tiles in zip(graphs, together, strict=True):
            (alone,) = ghn([graph])
            for name, tile in alone.items():
                torch.testing.assert_close(tiles[name], tile, msg=name)


def test_graphs_are_shared_by_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    cache._graphs.clear()
    traced: list[nn.Module] = []

    def counting(network: nn.Module, image: tuple[int, int, int]) -> object:
        traced.append(network)
        return trace(network, image)

    monkeypatch.setattr(cache, "trace", counting)
    for network in (ResNet(3), ResNet(3).train(), ResNet(5), Cnn3(), Cnn3(classes=9)):
        graph_of(network, IMAGE)
    graph_of(ResNet(3), (3, 64, 64))
    assert len(traced) == 5


def test_what_a_closure_may_do_has_no_fingerprint() -> None:
    def conditional(flag: bool) -> object:
        return lambda x: x if flag else -x

    network = Cnn3()
    assert fingerprint(network, IMAGE) is not None
    network.extra = conditional(True)  # type: ignore[assignment]
    assert fingerprint(network, IMAGE) is None
