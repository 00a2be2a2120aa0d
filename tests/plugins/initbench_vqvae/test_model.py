"""VQVAE, prior and sampler compute what the authors' code computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from initbench_slices.places import Place
from initbench_slices.slices import LayerSlices
from initbench_slices.stacking import Part, draw, select, unpack
from initbench_vqvae import head, sampling
from initbench_vqvae.halved import HalvedNetwork, half_gate_
from initbench_vqvae.head import Head, distribution, invert, logits, passed, share_in_full
from initbench_vqvae.initialiser import VQVAE, CodesConfig, VQVAEConfig, VQVAEStar
from initbench_vqvae.model import CODEBOOK, SliceVQVAE, perplexity
from initbench_vqvae.prior import GatedPixelCNN, gate
from initbench_vqvae.sampling import sample

from tests.plugins.initbench_slices.support import close, golden

FOLDER = Path(__file__).parent / "golden"
NONE = torch.empty(0)


def prior(kernel: int, models: int = 2) -> tuple[GatedPixelCNN, dict[str, torch.Tensor]]:
    model = GatedPixelCNN(kernel, codes=16, layers=4, head=32)
    generators = [torch.Generator().manual_seed(i) for i in range(models)]
    return model, unpack(draw(model.starts(), generators), model.starts())


def test_the_vqvae_is_that_of_the_authors() -> None:
    model, expected = SliceVQVAE(3), golden(str(FOLDER / "vqvae3x3.npz"))
    flat = torch.cat([expected[f"param/{name}"].flatten() for name in model.starts()])[None]
    assert flat.numel() == 6_629
    flat.requires_grad_()
    parameters, rows = unpack(flat, model.starts()), expected["x"].flatten(1)[None]
    z_e = model.encode(parameters, rows)
    indices = model.quantise(parameters, z_e)
    z_q = model.look_up(parameters, indices)
    close(z_e[0].mT, expected["z_e"])
    assert torch.equal(indices[0], expected["indices"].flatten(1))
    close(z_q[0].mT, expected["z_q"])
    close(model.decode(parameters, z_q), expected["recon"])
    with torch.no_grad():  # as for drawing
        close(model.decode(parameters, z_q), expected["recon"])
    assert perplexity(indices, 128) == pytest.approx(float(expected["perplexity"]), rel=1e-5)
    loss = model.losses(parameters, rows, NONE).mean()
    assert float(loss.detach()) == pytest.approx(float(expected["total_loss"]), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, flat)
    for name, ours in unpack(gradient, model.starts()).items():
        close(ours, expected[f"grad/{name}"], rtol=1e-4, atol=1e-5)


def test_the_prior_is_that_of_the_authors() -> None:
    model, expected = GatedPixelCNN(3), golden(str(FOLDER / "gated_pixelcnn.npz"))
    parameters = {name: expected[f"param_raw/{name}"][None] for name in model.starts()}
    assert sum(x.numel() for x in parameters.values()) == 131_296
    indices = expected["ids"].flatten(1)[None]
    close(model.logits(parameters, indices)[0].mT, expected["logits"], atol=1e-5)
    loss = model.losses(parameters, indices, NONE).mean()
    assert float(loss.detach()) == pytest.approx(float(expected["nll_mean"]), rel=1e-5)


def test_of_equally_near_codes_the_first_is_taken() -> None:
    codebook = torch.tensor([[[1.0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]])
    z_e = torch.zeros(1, 1, 2, 4)
    z_e[..., 1, 3] = 2
    found = SliceVQVAE(3).quantise({CODEBOOK: codebook}, z_e)
    assert found.tolist() == [[[0, 1]]]


@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_a_position_sees_only_those_before_it(kernel: int) -> None:
    model, parameters = prior(kernel)
    indices = torch.randint(16, (2, 3, kernel**2))
    logits = model.logits(parameters, indices)
    for place in range(kernel**2):
        changed = indices.clone()
        changed[:, :, place] = (changed[:, :, place] + 1) % 16
        moved = (model.logits(parameters, changed) != logits).any(3).any(1).any(0)
        assert not moved[: place + 1].any()
        assert place == kernel**2 - 1 or moved[place + 1 :].any()


ROWS = 2048


def drawn_at_each_position(
    model: GatedPixelCNN,
    parameters: dict[str, torch.Tensor],
    models: list[int],
    device: str = "cpu",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw codes: in block b all rows are equal up to a position, b modulo their number.

    There, uniform numbers are spread evenly. Returns how often each code came, and how often it
    should come: (blocks, codes).
    """
    generator, positions = torch.Generator().manual_seed(0), model.kernel**2
    uniform = torch.rand(len(models), ROWS, positions, generator=generator)
    evenly = (torch.arange(ROWS) + 0.5) / ROWS
    for block, numbers in enumerate(uniform):
        place = block % positions
        numbers[:, :place] = numbers[0, :place].clone()
        numbers[:, place] = evenly[torch.randperm(ROWS, generator=generator)]
    on_device = {name: x.to(device) for name, x in parameters.items()}
    drawn = sample(model, on_device, models, uniform.to(device)).cpu()
    came, expected = [], []
    logits = model.logits(select(parameters, models), drawn[:, :1])[:, 0]
    for block, codes in enumerate(drawn):
        place = block % positions
        assert torch.equal(codes[:, :place], codes[:1, :place].expand(ROWS, -1))
        came.append(torch.bincount(codes[:, place], minlength=model.codes))
        expected.append(logits[block, place].softmax(0) * ROWS)
    return torch.stack(came), torch.stack(expected)


def sharp_prior(kernel: int, sharpness: float = 8) -> tuple[GatedPixelCNN, dict[str, torch.Tensor]]:
    """Make priors with biases and large logits, which rounding changes more."""
    model, parameters = prior(kernel, models=7)
    generator = torch.Generator().manual_seed(kernel)
    for x in parameters.values():
        x.add_(0.1 * torch.randn(x.shape, generator=generator))
    parameters["output_conv.2.weight"].mul_(sharpness)
    return model, parameters


# Of one model also more than are drawn at once, and some with one or two blocks each.
MODELS = [*[3] * 19, 6, 1, 2, 0, 0, 4, 4, *[5] * 8]


@pytest.mark.parametrize("together", [False, True], ids=["in parts", "all at once, as on a GPU"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_codes_are_drawn_from_the_very_distribution_of_the_prior(
    kernel: int, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if together:
        monkeypatch.setattr(sampling, "parts", lambda models, *_: [Part(models, slice(None))])
    came, expected = drawn_at_each_position(*sharp_prior(kernel), MODELS)
    # Numbers that are evenly spread come to within one of what is expected, in both parts of the
    # mixture.
    torch.testing.assert_close(came.float(), expected, rtol=0, atol=2.01)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_so_they_are_on_a_gpu() -> None:
    came, expected = drawn_at_each_position(*sharp_prior(3), MODELS, "cuda")
    torch.testing.assert_close(came.float(), expected, rtol=0, atol=2.01)


def test_rounded_logits_alone_have_another_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test before can fail."""
    monkeypatch.setattr(Head, "_choose_in_full", lambda *_: None)
    came, expected = drawn_at_each_position(*sharp_prior(3), MODELS)
    assert (came - expected).abs().max() > 10


@pytest.mark.parametrize(
    ("sharpness", "least", "most"), [(0.1, 1 / 64, 1 / 64), (64, 1 / 8, 1), (10_000, 1, 1)]
)
def test_the_more_rounding_does_the_more_is_drawn_in_full(
    sharpness: float, least: float, most: float
) -> None:
    model, parameters = sharp_prior(3, sharpness)
    network = HalvedNetwork.of(model, parameters)
    h = torch.randn(7, 500, model.width, generator=torch.Generator().manual_seed(0))
    share = share_in_full(network, h, distribution(logits(network.head, h)))
    assert least <= share.min() <= share.max() <= most
    came, expected = drawn_at_each_position(model, parameters, MODELS)
    torch.testing.assert_close(came.float(), expected, rtol=0, atol=2.01)


def test_a_machine_without_bfloat16_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, parameters = sharp_prior(3)
    uniform = torch.rand(len(MODELS), 200, 9, generator=torch.Generator().manual_seed(0))
    drawn = []
    for multiplies in (True, False):
        monkeypatch.setattr(head, "_multiplies_bfloat16", lambda _, answer=multiplies: answer)
        drawn.append(sample(model, parameters, MODELS, uniform))
    assert (drawn[0] == drawn[1]).all(2).float().mean() > 0.999


def test_threads_draw_the_same_and_leave_their_number_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, parameters = prior(3)
    models = [*[0] * 30, *[1] * 5]
    uniform = torch.rand(35, 6, 9, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    try:
        drawn = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            drawn.append(sample(model, parameters, models, uniform))
            assert torch.get_num_threads() == threads
        assert torch.equal(*drawn)
        monkeypatch.setattr(sampling, "_draw", None)
        with pytest.raises(TypeError):
            sample(model, parameters, models, uniform)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_choosing_inverts_the_distribution_function() -> None:
    shares = torch.tensor([0.2, 0.0, 0.5, 0.3])
    uniform = torch.linspace(0, 1 - 1e-6, 10_001)
    found = invert(passed(shares.log().expand(1, 1, 4)), uniform[None])[0]
    assert torch.equal(found, found.sort().values)
    assert (torch.bincount(found, minlength=4) / 10_001).tolist() == pytest.approx(
        shares.tolist(), abs=2e-4
    )


def test_the_half_gate_is_half_the_gate_of_halves() -> None:
    x = torch.randn(3, 4, 32) * 3
    doubled = torch.cat([2 * x[..., :16], x[..., 16:]], dim=-1)
    half = half_gate_(doubled, torch.empty(3, 4, 16))
    torch.testing.assert_close(2 * half, gate(x), rtol=1e-5, atol=1e-6)


def test_perplexity_counts_codes_in_use() -> None:
    assert perplexity(torch.zeros(5, 9, dtype=torch.long), 128) == pytest.approx(1, abs=1e-4)
    assert perplexity(torch.arange(8), 128) == pytest.approx(8, rel=1e-4)


def test_the_scrambled_form_swaps_positions_and_dimensions() -> None:
    codes = torch.arange(36.0).view(1, 1, 9, 4)
    assert VQVAE(VQVAEConfig()).arrange(codes) is codes
    scrambled = VQVAE(VQVAEConfig(fidelity="code")).arrange(codes)
    # The authors' (9, 4) is read as (4, 3, 3): channel c, position p is number 9 c + p.
    assert scrambled[0, 0, 5].tolist() == [5, 14, 23, 32]


def patterns(count: int, generator: torch.Generator) -> torch.Tensor:
    """Slices of two kinds: a bright left or a bright right column."""
    slices = torch.randn(count, 3, 3, generator=generator) * 0.02
    left = torch.rand(count, generator=generator) < 0.5
    slices[left, :, 0] += 0.5
    slices[~left, :, 2] += 0.5
    return slices.view(count, 9)


def test_the_prior_learns_which_codes_go_together() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = LayerSlices(
        Place("w", (64, 64, 3, 3), 0.0), patterns(512, generator), patterns(128, generator)
    )
    initialiser = VQVAEStar(CodesConfig(least_steps=200))
    learnt = initialiser.learn([layer], generator, "cpu")
    assert learnt.diagnostics[0]["r2"] > 0.8
    (samples,) = initialiser.sample(learnt.tensors, 3, [(0, 400)], generator)
    columns = samples.view(-1, 3, 3).mean(1)
    one_side = (columns[:, 0] > 0.25) ^ (columns[:, 2] > 0.25)
    assert float(one_side.float().mean()) > 0.7
    blind = VQVAE(VQVAEConfig()).sample(learnt.tensors, 3, [(0, 400)], generator)[0]
    sides = blind.view(-1, 3, 3).mean(1)
    alike = (sides[:, 0] > 0.25) ^ (sides[:, 2] > 0.25)
    assert float(alike.float().mean()) < float(one_side.float().mean())
