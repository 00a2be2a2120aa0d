"""The slice VAE computes what the authors' code computes, and learns what it should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from initbench_slice_vae.initialiser import SliceVAEConfig, SliceVAEInitialiser, judge
from initbench_slice_vae.model import SliceVAE
from initbench_slices.places import Place
from initbench_slices.slices import LayerSlices
from initbench_slices.stacking import Parameters, unpack
from initbench_slices.training import Adam
from torch import Tensor, nn
from torch.nn.functional import softplus

from tests.plugins.initbench_slices.support import close, golden

GOLDEN = golden(str(Path(__file__).parent / "golden" / "vae3x3.npz"))
MODEL = SliceVAE(3)


def stacked() -> tuple[Tensor, dict[str, Tensor]]:
    """The golden parameters as a stack of one, flat and by name."""
    flat = torch.cat([GOLDEN[f"param/{name}"].flatten() for name in MODEL.starts()])[None]
    flat.requires_grad_()
    return flat, unpack(flat, MODEL.starts())


def rows(name: str) -> Tensor:
    return GOLDEN[name].flatten(1)[None]


def test_it_has_the_published_number_of_parameters() -> None:
    sizes = {
        name: start.shape for name, start in SliceVAE(3, learned_variance=True).starts().items()
    }
    counts = {name: torch.Size(shape).numel() for name, shape in sizes.items()}
    assert sum(n for name, n in counts.items() if name.startswith("encoder")) == 28_714
    assert sum(n for name, n in counts.items() if name.startswith("decoder")) == 19_970
    assert set(counts) - set(MODEL.starts()) == {
        "decoder.fc_var.0.weight",
        "decoder.fc_var.0.bias",
    }


def test_forward_is_that_of_the_authors() -> None:
    _, parameters = stacked()
    mean, variance = MODEL.encode(parameters, rows("x"))
    close(mean, GOLDEN["enc_mean"])
    close(variance, GOLDEN["enc_var"])
    decoded, decoded_variance = MODEL.decode(parameters, rows("z_sample"))
    close(decoded, GOLDEN["dec_mean"])
    assert torch.equal(decoded_variance, GOLDEN["dec_var"].expand_as(decoded_variance))
    close(MODEL.decode(parameters, rows("z_prior"))[0], GOLDEN["dec_mean_prior"])


def test_loss_gradients_and_one_adam_step_are_those_of_the_authors() -> None:
    flat, parameters = stacked()
    loss = MODEL.losses(parameters, rows("x"), rows("eps")).sum()
    assert float(loss.detach()) == pytest.approx(float(GOLDEN["loss"]), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, flat)
    after = flat.detach().clone()
    Adam(after, MODEL.weight_decay).step(gradient, torch.tensor([[MODEL.rate]]))
    for name, ours in unpack(gradient, MODEL.starts()).items():
        close(ours, GOLDEN[f"grad/{name}"], rtol=1e-4, atol=1e-5)
    for name, ours in unpack(after, MODEL.starts()).items():
        close(ours, GOLDEN[f"param_after_step/{name}"], rtol=0, atol=1e-5)


def test_the_layer_that_is_left_out_never_moved() -> None:
    for name in ("weight", "bias"):
        before, after = (
            GOLDEN[f"{x}/decoder.fc_var.0.{name}"] for x in ("param", "param_after_step")
        )
        assert torch.equal(before, after)


@pytest.mark.parametrize("kernel", [2, 5])
def test_other_kernels_have_the_same_layers(kernel: int) -> None:
    model = SliceVAE(kernel, hidden=4, learned_variance=True)
    starts = model.starts()
    p = {name: torch.randn(2, *start.shape) * 0.3 for name, start in starts.items()}
    slices, z = torch.randn(2, 6, kernel**2), torch.randn(2, 6, 5)
    for i in range(2):
        mean, variance = (x[i] for x in model.encode(p, slices))
        decoded, output_variance = (x[i] for x in model.decode(p, z))
        net = plain(kernel, p, i)
        hidden = net["encoder"](slices[i].view(6, 1, kernel, kernel))
        close(mean, net["mu"](hidden), rtol=1e-4, atol=1e-5)
        close(variance, softplus(net["sigma"](hidden)), rtol=1e-4, atol=1e-5)
        back = net["decoder"](z[i].view(6, 5, 1, 1))
        close(decoded, net["mean"](back), rtol=1e-4, atol=1e-5)
        close(output_variance, softplus(net["variance"](back)) + 1e-4, rtol=1e-4, atol=1e-5)


def plain(kernel: int, parameters: Parameters, model: int) -> dict[str, nn.Module]:
    """The same network out of PyTorch's modules."""
    elu, h = nn.ELU(), 4
    encoder = nn.Sequential(nn.Conv2d(1, h, 3, padding=1), elu, nn.Conv2d(h, h, 3, padding=1), elu,
                            nn.Conv2d(h, 2 * h, kernel), elu)  # fmt: skip
    decoder = nn.Sequential(nn.Conv2d(5, 2 * h, 1), elu, nn.ConvTranspose2d(2 * h, h, kernel), elu,
                            nn.Conv2d(h, h, 1), elu)  # fmt: skip
    modules = {
        "encoder": ("encoder.features", encoder),
        "decoder": ("decoder.decoder", decoder),
        "mu": ("encoder.fc_mu", nn.Conv2d(2 * h, 5, 1)),
        "sigma": ("encoder.fc_sigma", nn.Conv2d(2 * h, 5, 1)),
        "mean": ("decoder.fc_mu.0", nn.Conv2d(h, 1, 1)),
        "variance": ("decoder.fc_var.0", nn.Conv2d(h, 1, 1)),
    }
    for prefix, module in modules.values():
        module.load_state_dict({n: parameters[f"{prefix}.{n}"][model] for n in module.state_dict()})
    return {name: module for name, (_, module) in modules.items()}


def linear_gaussian(count: int, generator: torch.Generator, basis: Tensor) -> Tensor:
    return torch.randn(count, 4, generator=generator) @ basis


def test_it_learns_a_linear_gaussian_model_of_slices() -> None:
    """R2 above 0.8 within 4,000 steps, samples of the data's standard deviation within 15 %."""
    generator = torch.Generator().manual_seed(1)
    basis = torch.randn(4, 9, generator=generator)
    basis *= 0.3 / basis.square().sum(0).mean().sqrt()
    train, held_out = (linear_gaussian(n, generator, basis) for n in (1280, 320))
    layer = LayerSlices(Place("w", (10, 4, 3, 3), 0.0), train, held_out)
    assert float(train.std()) == pytest.approx(0.3, rel=0.1)
    initialiser = SliceVAEInitialiser(SliceVAEConfig(least_steps=1))  # 150 epochs of 10: 1,500
    learnt = initialiser.learn([layer], generator, "cpu")
    (found,) = learnt.diagnostics
    assert found["r2"] > 0.8
    assert found["active"] >= 4
    (samples,) = initialiser.sample(learnt.tensors, 3, [(0, 4000)], generator)
    assert float(samples.std()) == pytest.approx(float(train.std()), rel=0.15)


def test_the_judgement_is_the_mean_over_held_out_slices() -> None:
    parameters = {name: x.detach() for name, x in stacked()[1].items()}
    found = judge(MODEL, parameters, rows("x")[0])
    assert found["kl"] == pytest.approx(float(GOLDEN["kl_sum"]) / 16, rel=1e-4)
    spread = GOLDEN["enc_mean"].flatten(1).var(0)
    assert found["active"] == int((spread > 0.01).sum())


@pytest.mark.parametrize(
    ("options", "kernel", "expected"),
    [({}, 3, (False, False, 1.0, False)), ({}, 5, (False, True, 1.0, False)),
     ({"preset": "robust"}, 3, (True, True, 1e-5, True)),
     ({"preset": "robust", "standardise": False}, 3, (False, True, 1e-5, True)),
     ({"preset": "robust", "output_noise": False}, 3, (True, True, 1e-5, False)),
     ({"output_variance": "fixed"}, 5, (False, False, 1.0, False)),
     ({"weight_decay": 0.0}, 3, (False, False, 0.0, False))],
)  # fmt: skip
def test_presets_and_what_differs_from_them(
    options: dict, kernel: int, expected: tuple[bool, bool, float, bool]
) -> None:
    initialiser = SliceVAEInitialiser(SliceVAEConfig(**options))
    model = initialiser._model(kernel)
    standardised, noisy = map(initialiser._robust_unless, ("standardise", "output_noise"))
    assert (standardised, model.learned_variance, model.weight_decay, noisy) == expected
    assert not model.averaged


@pytest.mark.parametrize("std", [0.3, 0.01])
def test_the_robust_preset_keeps_the_spread_of_white_noise_at_any_scale(std: float) -> None:
    generator = torch.Generator().manual_seed(0)
    train, held_out = (torch.randn(n, 9, generator=generator) * std for n in (1024, 256))
    layer = LayerSlices(Place("w", (32, 32, 3, 3), 0.0), train, held_out)
    stds = {}
    for noise in (None, False):
        options = {"preset": "robust", "scale": 0.1, "least_steps": 400, "output_noise": noise}
        initialiser = SliceVAEInitialiser(SliceVAEConfig(**options))
        tensors = initialiser.learn([layer], torch.Generator().manual_seed(1), "cpu").tensors
        (samples,) = initialiser.sample(tensors, 3, [(0, 2000)], generator)
        stds[noise] = float(samples.std())
    assert stds[None] == pytest.approx(std, rel=0.15)
    assert stds[False] < 0.5 * std


def test_output_noise_adds_the_decoders_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = LayerSlices(Place("w", (4, 4, 3, 3), 0.0), torch.randn(64, 9) * 0.01, torch.randn(9, 9))
    quiet, noisy = (
        SliceVAEInitialiser(SliceVAEConfig(least_steps=1, output_noise=noise))
        for noise in (False, True)
    )
    tensors = quiet.learn([layer], generator, "cpu").tensors
    tensors["scale"] *= 2
    drawn = [
        x.sample(tensors, 3, [(0, 500)], torch.Generator().manual_seed(3))[0]
        for x in (quiet, noisy)
    ]
    assert float((drawn[1] - drawn[0]).std()) == pytest.approx(2 * 1e-3**0.5, rel=0.05)
