"""VQVAE, prior and sampler compute what the authors' code computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from initbench_slices.places import Place
from initbench_slices.slices import LayerSlices
from initbench_slices.stacking import draw, select, unpack
from initbench_vqvae import sampling
from initbench_vqvae.halved import half_gate_
from initbench_vqvae.initialiser import VQVAE, CodesConfig, VQVAEConfig, VQVAEStar
from initbench_vqvae.model import CODEBOOK, SliceVQVAE, perplexity
from initbench_vqvae.prior import GatedPixelCNN, gate
from initbench_vqvae.sampling import choose, sample

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


@pytest.mark.parametrize("together", [False, True], ids=["in parts", "all at once, as on a GPU"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_codes_are_drawn_from_the_very_distribution_of_the_prior(
    kernel: int, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if together:
        monkeypatch.setattr(sampling, "_parts", lambda models, _: [slice(0, len(models))])
    model, parameters = prior(kernel, models=7)
    generator = torch.Generator().manual_seed(kernel)
    for x in parameters.values():  # biases start as zeros
        x.add_(0.1 * torch.randn(x.shape, generator=generator))
    # Of one model also more than are drawn at once, and some that draw one block each.
    models = [*[3] * 9, 6, 1, 2, 0, 0, *[5] * 8]
    uniform = torch.rand(22, 6, kernel**2, generator=generator)
    drawn = sample(model, parameters, models, uniform)
    logits = model.logits(select(parameters, models), drawn)
    for place in range(kernel**2):
        again = choose(logits[:, :, place], uniform[:, :, place])
        assert torch.equal(again, drawn[:, :, place])


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
    found = choose(shares.log().expand(1, 1, 4), uniform[None])[0]
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
