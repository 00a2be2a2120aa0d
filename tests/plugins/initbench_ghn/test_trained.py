from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from initbench_ghn.architecture import Architecture, Noise
from initbench_ghn.architectures import ResNet
from initbench_ghn.checkpoint import load
from initbench_ghn.files import RELEASED, checked_digest
from initbench_ghn.ghn2 import GHN2Config, GHN2Initialiser, GHN2Orth, GHN2OrthConfig
from initbench_ghn.network import GHN
from initbench_ghn.options import NoiseGHNConfig, TrainedConfig
from initbench_ghn.orth import Orth, OrthConfig
from initbench_ghn.pictures import augmented
from initbench_ghn.trained import (
    STATES,
    GHNInitialiser,
    NoiseGHNInitialiser,
    Trained,
)
from initbench_ghn.training import Lesson, Trainer
from pydantic import ValidationError

from initbench.api import (
    Artifact,
    Batch,
    CoverageMap,
    DataSource,
    FitInputs,
    ImageSplits,
    Initialisation,
    Initialiser,
    PluginError,
    Split,
    Target,
    Treatment,
)
from initbench.models.tracing import anatomy
from initbench.plugin.apply import apply
from initbench.plugin.registry import Registry
from tests.plugins.initbench_ghn import networks as golden
from tests.plugins.initbench_ghn.networks import Cnn3
from tests.plugins.initbench_ghn.support import golden_file, tensors_of

IMAGES = torch.zeros(1, 3, 32, 32)


def splits(count: int = 48, classes: int = 3) -> ImageSplits:
    """Return images of three colours, one for each class, with some noise."""
    generator = torch.Generator().manual_seed(0)

    def split(first: int, size: int) -> Split:
        labels = torch.arange(size) % classes
        images = torch.randint(100, (size, 3, 12, 12), generator=generator)
        images[torch.arange(size), labels] += 120
        return Split(images.to(torch.uint8), labels, torch.arange(first, first + size))

    return ImageSplits(
        split(0, count), split(count, 24), split(2 * count, 4), classes, (0.5,) * 3, (0.25,) * 3
    )


def fit(method: Trained[Any], seed: int = 0, device: str = "cpu") -> Artifact:
    target = Target("small", {}, "digits", {}, {}, 3, anatomy(Cnn3(3), IMAGES))
    generator = torch.Generator().manual_seed(seed)
    return method.fit(FitInputs(target, (splits(),), generator, device))


def short(**options: Any) -> dict[str, Any]:
    return {"architectures": (20,), "batch_size": 16, "epochs": 2, "start": "", **options}


def weights(method: Initialiser[Any], artifact: Artifact | None, seed: int) -> dict[str, Any]:
    torch.manual_seed(0)
    network = golden.ResNet()
    batch = Batch(IMAGES, torch.zeros(1, dtype=torch.long))
    apply(method, network, anatomy(network), seed=seed, batch=batch, artifact=artifact)
    return tensors_of(network)


def test_a_noise_ghn_gives_every_seed_weights_of_its_own_and_a_plain_one_does_not() -> None:
    noisy = NoiseGHNInitialiser(NoiseGHNConfig(**short(epochs=1)))
    artifact = fit(noisy)
    first, again, other = (weights(noisy, artifact, seed) for seed in (1, 1, 2))
    assert all(torch.equal(x, again[name]) for name, x in first.items())
    assert not torch.equal(first["layer1.0.conv1.weight"], other["layer1.0.conv1.weight"])
    plain = GHNInitialiser(TrainedConfig(**short(epochs=1)))
    artifact = fit(plain)
    first, other = (weights(plain, artifact, seed) for seed in (1, 2))
    assert all(torch.equal(x, other[name]) for name, x in first.items())


def test_training_is_deterministic_and_lowers_the_validation_loss() -> None:
    method = GHNInitialiser(TrainedConfig(**short(epochs=4)))
    artifact, again = fit(method), fit(method)
    assert all(torch.equal(x, again.tensors[name]) for name, x in artifact.tensors.items())
    rows = artifact.description["diagnostics"]["rows"]
    losses = [row[2] for row in rows]
    assert min(losses) < losses[0] - 0.05
    assert artifact.description["best_epoch"] == 1 + losses.index(min(losses))
    assert json.loads(json.dumps(artifact.description, allow_nan=False)) == artifact.description


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("amp", [False, True])
def test_a_gpu_trains_as_a_cpu_does(amp: bool) -> None:
    options = short(epochs=1, generated=2, meta_batch=2, hyperfan=True)
    method = NoiseGHNInitialiser(NoiseGHNConfig(**options, amp=amp))
    ours, theirs = (fit(method, device=device) for device in ("cuda", "cpu"))
    assert all(x.device.type == "cpu" for x in ours.tensors.values())
    losses = [x.description["diagnostics"]["rows"][0][1] for x in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=0.2)


def test_an_interrupted_training_goes_on_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = NoiseGHNInitialiser(NoiseGHNConfig(**short()))
    whole = fit(method)
    monkeypatch.setenv(STATES, str(tmp_path))
    epochs: list[int] = []
    run = Trainer._epoch

    def interrupted(self: Trainer, *arguments: Any) -> float:
        epochs.append(self.progress.epoch)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return run(self, *arguments)

    monkeypatch.setattr(Trainer, "_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(method)
    continued = fit(method)
    assert epochs == [0, 1, 1]
    assert all(torch.equal(x, continued.tensors[name]) for name, x in whole.tensors.items())
    (state,) = tmp_path.iterdir()
    state.write_bytes(b"damaged")
    fresh = fit(method)
    assert all(torch.equal(x, fresh.tensors[name]) for name, x in whole.tensors.items())


def test_steps_without_a_finite_loss_are_left_out_and_too_many_end_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = GHNInitialiser(TrainedConfig(**short(epochs=1)))
    loss, calls = Trainer.loss, [0]

    def sometimes(self: Trainer, *arguments: Any) -> torch.Tensor:
        calls[0] += 1
        return loss(self, *arguments) * (float("nan") if calls[0] == 2 else 1)

    monkeypatch.setattr(Trainer, "loss", sometimes)
    artifact = fit(method)
    assert artifact.description["steps_left_out"] == 1
    assert all(x.isfinite().all() for x in artifact.tensors.values())
    monkeypatch.setattr(Trainer, "loss", lambda self, *a: loss(self, *a) * float("inf"))
    with pytest.raises(PluginError, match="diverged: 11 steps of epoch 1"):
        fit(GHNInitialiser(TrainedConfig(**short(epochs=1, batch_size=4))))


def test_a_checkpoint_to_start_from_gives_all_but_the_decoder_of_weights(tmp_path: Path) -> None:
    start = str(golden_file("tiny_ghn2.pt"))
    config = TrainedConfig(**short(epochs=1, start=start, rate=1e-12))
    method = GHNInitialiser(config)
    artifact = fit(method)
    trained = torch.load(start, weights_only=True)["state_dict"]
    for name, tensor in artifact.tensors.items():
        if not name.startswith("decoder."):
            torch.testing.assert_close(tensor, trained[name], rtol=0, atol=1e-6)
    assert artifact.tensors["decoder.fc.0.weight"].shape == (4 * 8 * 9, 8)
    assert artifact.description["start"].startswith("all but the decoder of weights")
    scratch = fit(GHNInitialiser(TrainedConfig(**short(epochs=1, start="none.pt"))))
    assert scratch.description["warnings"] == [
        "graph network from scratch: no checkpoint `none.pt`"
    ]


def test_the_loss_of_the_paper_is_a_sum_over_images_and_architectures() -> None:
    ghn = GHN(Architecture(hid=8, decoder_shape=(16, 16, 3, 3), noise=Noise(4)))
    networks = [ResNet(depth, 3, 5, average_pool=False) for depth in (8, 14)]
    lesson = Lesson(epochs=1, similarity="paper", similarity_weight=0.5)
    trainer = Trainer(ghn, networks, lesson, torch.Generator().manual_seed(0))
    images, labels = torch.randn(6, 3, 8, 8), torch.randint(5, (6,))
    group = trainer.chosen(images)
    noise = trainer._noise(group, 2)
    with torch.no_grad():
        first, second = trainer._logits(images, group, noise)
        total = 0.0
        for architecture in range(2):
            for image, label in enumerate(labels):
                one, two = first[architecture][image], second[architecture][image]
                total -= float(one.log_softmax(0)[label] + two.log_softmax(0)[label])
                total += 0.5 * float(one @ two / (one.norm() * two.norm()))
        ours = float(trainer.loss(images, labels, group, noise))
    assert ours == pytest.approx(total / (2 * 2 * 6), rel=1e-5)


def test_a_meta_batch_is_drawn_anew_for_each_step_from_all_architectures() -> None:
    networks = [ResNet(depth, 3, 5, average_pool=False) for depth in (8, 14, 20)]
    ghn = GHN(Architecture(hid=8, decoder_shape=(16, 16, 3, 3)))
    lesson = Lesson(epochs=1, meta_batch=2)
    trainer = Trainer(ghn, networks, lesson, torch.Generator().manual_seed(0))
    images = torch.zeros(2, 3, 8, 8)
    seen: set[int] = set()
    for _ in range(12):
        drawn = {i for x in trainer.chosen(images) for i in range(3) if x.network is networks[i]}
        assert len(drawn) == 2
        seen |= drawn
    assert seen == {0, 1, 2}


def test_a_step_on_several_architectures_is_the_mean_of_steps_on_each() -> None:
    torch.manual_seed(0)
    networks = [ResNet(depth, 3, 5, average_pool=False) for depth in (8, 14)]
    ghn = GHN(Architecture(hid=8, decoder_shape=(16, 16, 3, 3)))
    images, labels = torch.randn(6, 3, 8, 8), torch.randint(5, (6,))

    def gradients(some: list[ResNet]) -> torch.Tensor:
        trainer = Trainer(ghn, some, Lesson(epochs=1), torch.Generator().manual_seed(0))
        loss = trainer.loss(images, labels, trainer.chosen(images), [])
        found = torch.autograd.grad(loss, list(ghn.parameters()), materialize_grads=True)
        return torch.cat([x.flatten() for x in found])

    together = gradients(networks)
    alone = torch.stack([gradients([network]) for network in networks]).mean(0)
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-5)


def test_random_architectures_and_hyperfan_can_be_learnt_on() -> None:
    options = short(architectures=(), generated=3, meta_batch=2, hyperfan=True, kernel=5)
    method = GHNInitialiser(TrainedConfig(**options))
    artifact = fit(method)
    assert artifact.tensors["decoder.fc.0.weight"].shape == (4 * 32 * 5 * 5, 32)
    assert all(x.isfinite().all() for x in artifact.tensors.values())
    assert len(artifact.description["diagnostics"]["rows"]) == 2
    variance = float(artifact.tensors["decoder.conv.2.weight"].var())
    assert variance == pytest.approx(2 / 256, rel=0.05)
    assert weights(method, artifact, 1)["fc.weight"].isfinite().all()


def test_the_state_of_a_training_is_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATES, str(tmp_path))
    artifact = fit(NoiseGHNInitialiser(NoiseGHNConfig(**short(noise_size=4))))
    (state,) = tmp_path.iterdir()
    ghn = load(state)
    assert ghn.architecture.noise == Noise(4, 1.0)
    assert all(torch.equal(x, artifact.tensors[name]) for name, x in ghn.state_dict().items())


def test_fits_that_would_be_equal_are_shared() -> None:
    first, other = (
        GHNInitialiser(TrainedConfig(**short(head=head))).fit_config() for head in ("he", "auto")
    )
    assert first == other
    plain, noisy = (
        Orth(OrthConfig(base="ghn", base_config={"start": ""}, beta=beta)).fit_config()
        for beta in (0.0, 1.0)
    )
    assert plain == noisy


@pytest.mark.parametrize(
    ("dataset", "options", "expected"),
    [
        ("cifar10", {}, (30, (15, 20))),
        ("pcam", {}, (6, (4, 5))),
        ("cifar10", {"epochs": 3}, (3, (2,))),
        ("cifar10", {"fidelity": "code"}, (30, ())),
        ("cifar10", {"milestones": (1, 2)}, (30, (1, 2))),
    ],
)
def test_lengths_are_the_published_ones(
    dataset: str, options: dict[str, Any], expected: tuple[int, tuple[int, ...]]
) -> None:
    lesson: Lesson = GHNInitialiser(TrainedConfig(start="", **options))._lesson(dataset)
    assert (lesson.epochs, lesson.milestones) == expected


def test_the_data_set_learnt_from_may_be_another_one() -> None:
    method = GHNInitialiser(TrainedConfig(start="", dataset="cifar10", dataset_config={"a": 1}))
    target = Target("m", {}, "pcam_small", {}, {}, 2, anatomy(Cnn3(2), IMAGES))
    assert method.sources(target) == (DataSource("cifar10", {"a": 1}),)


def test_crops_are_parts_of_the_padded_image() -> None:
    images = torch.arange(2 * 3 * 6 * 6.0).reshape(2, 3, 6, 6) + 1
    padded = torch.nn.functional.pad(images, (4,) * 4)
    for crop, whole in zip(
        augmented(images, torch.Generator().manual_seed(0)), padded, strict=True
    ):
        windows = whole.unfold(1, 6, 1).unfold(2, 6, 1).movedim(0, 2).flatten(0, 1)
        assert any(torch.equal(crop, x) or torch.equal(crop, x.flip(2)) for x in windows)


def test_ghn2_reads_a_checkpoint_and_accounts_for_everything() -> None:
    config = GHN2Config(checkpoint=str(golden_file("tiny_ghn2.pt")))
    assert config.sha256 == hashlib.sha256(golden_file("tiny_ghn2.pt").read_bytes()).hexdigest()
    first, other = (weights(GHN2Initialiser(config), None, seed) for seed in (1, 2))
    assert all(torch.equal(x, other[name]) for name, x in first.items())


def test_ghn2_orth_makes_deep_layers_orthogonal() -> None:
    config = GHN2OrthConfig(checkpoint=str(golden_file("tiny_ghn2.pt")), first_layer=18)
    drawn = weights(GHN2Orth(config), None, 1)
    plain = weights(GHN2Initialiser(GHN2Config(checkpoint=config.checkpoint)), None, 1)
    matrix = drawn["layer3.2.conv1.weight"].reshape(64, -1)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(64), rtol=0, atol=1e-4)
    assert torch.equal(drawn["conv1.weight"], plain["conv1.weight"])


def test_a_missing_checkpoint_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INITBENCH_DATA", str(tmp_path))
    method = GHN2Initialiser(GHN2Config())
    support = method.supports(anatomy(Cnn3(), IMAGES))
    assert not support.supported
    assert "no checkpoint `ghn2_imagenet.pt`" in support.reason
    assert "https://github.com/facebookresearch/ppuda" in method.missing()
    assert RELEASED["ghn2_imagenet.pt"] in method.missing()
    (tmp_path / "ghn").mkdir()
    (tmp_path / "ghn" / "ghn2_imagenet.pt").write_bytes(b"x")
    assert method.missing() == ""


def test_a_checkpoint_that_cannot_be_read_is_refused_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    damaged = tmp_path / "damaged.pt"
    damaged.write_bytes(b"nothing")
    for method in (
        GHN2Initialiser(GHN2Config(checkpoint=str(damaged))),
        GHNInitialiser(TrainedConfig(start=str(damaged))),
    ):
        support = method.supports(anatomy(Cnn3(), IMAGES))
        assert not support.supported
        assert "damaged.pt`: expected a PyTorch file" in support.reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architectures": (21,)}, r"6n \+ 2"),
        ({"architectures": ()}, "expected `architectures` or `generated`, got neither"),
        ({"milestones": (3, 2)}, "increasing"),
        ({"batch_size": 1}, "greater than or equal to 2"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainedConfig(start="", **options)


def test_a_checkpoint_of_another_digest_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected 00ff"):
        GHN2Config(checkpoint=str(golden_file("tiny_ghn2.pt")), sha256="00ff")
    assert checked_digest("nowhere.pt", "00ff") == "00ff"


def test_orth_follows_any_initialiser_through_the_registry() -> None:
    registry = Registry.installed()
    resolved = registry.initialiser("orth", {"base": "he", "first_layer": 2, "beta": 0})
    tree = resolved.reference.config
    assert tree["base_config"]["bias"] == "zero"
    assert tree["base_code"].startswith("he ")
    network = golden.ResNet()
    coverage: CoverageMap = apply(resolved.thing, network, anatomy(network), seed=1).coverage
    entries = dict(coverage)
    assert "then orthogonal by QR" in entries["layer1.0.conv1.weight"].reason
    assert entries["layer1.0.bn1.weight"].treatment is Treatment.RULE
    slices = Orth(OrthConfig(base="slice_vae"))
    target = Target("m", {}, "d", {}, {}, 2, anatomy(golden.ResNet(), IMAGES))
    assert len(slices.sources(target)) == 1
    for wrong in ({"base": "unknown"}, {"base": "orth"}, {"base": "he", "base_config": {"a": 1}}):
        with pytest.raises(ValidationError, match="initialiser"):
            OrthConfig(**wrong)  # type: ignore[arg-type]


def test_fits_of_another_method_are_refused() -> None:
    artifact = fit(GHNInitialiser(TrainedConfig(**short(epochs=1))))
    noisy = NoiseGHNInitialiser(NoiseGHNConfig(start=""))
    job = Initialisation(anatomy(Cnn3(3)), torch.Generator(), artifact=artifact)
    with pytest.raises(PluginError, match="needs a fitted state of its own"):
        noisy.initialise(Cnn3(3), job)
