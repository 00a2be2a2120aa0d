"""Streamed batches are those of resident data, bit for bit; threads and memory stay bounded."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch

from initbench.data import image_files as image_files_module
from initbench.data.dataset import ImageSplits, Split
from initbench.data.device_data import DeviceData, on_device
from initbench.data.image_files import ImageFiles, UndecodableError
from initbench.data.prepared import from_tensors, to_tensors
from initbench.data.resident import ResidentData
from initbench.data.streamed import AHEAD, StreamedData
from initbench.store.checkpoint import CheckpointFile
from initbench.training.augmentation import draw
from initbench.training.checkpoint import Keeper
from initbench.training.evaluation import evaluate
from initbench.training.outcome import Member
from initbench.training.recipe import Augmentation
from initbench.training.trainer import train
from tests.data.photographs import photograph, save
from tests.data.test_image_files import image_files
from tests.training.networks import equal, network, recipe
from tests.training.test_checkpoint import Stopped, Stopping

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> ImageSplits:
    """60 photographs: 40 for training, 11 for validation, 9 for testing."""
    root = tmp_path_factory.mktemp("data")
    for seed in range(60):
        save(photograph(seed, 40 + seed, 60), root / "photos" / f"{seed:02}.JPEG")
    files = image_files(root).at_size(6)

    def part(start: int, end: int) -> Split:
        ids = torch.arange(start, end)
        return Split(files.take(ids), ids % 3, ids)

    return ImageSplits(part(0, 40), part(40, 51), part(51, 60), 3, (0.4,) * 3, (0.3,) * 3)


def decoded(splits: ImageSplits) -> ImageSplits:
    parts = [Split(split.images[:], split.labels, split.ids) for _, split in splits.items()]
    return ImageSplits(*parts, splits.classes, splits.mean, splits.std)


def test_image_files_are_streamed_and_tensors_are_not(splits: ImageSplits) -> None:
    assert isinstance(on_device(splits, "cpu"), StreamedData)
    assert isinstance(on_device(decoded(splits), "cpu"), ResidentData)


def test_batches_are_those_of_resident_data(splits: ImageSplits) -> None:
    streamed, resident = on_device(splits, CPU), on_device(decoded(splits), CPU)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    draws = draw(Augmentation(crop_padding=2, flip=True), 40, 3, 0, CPU)
    assert draws is not None
    for augment in (None, draws.apply):
        ones = list(streamed.batches_at("train", order.split(7), augment))
        others = list(resident.batches_at("train", order.split(7), augment))
        assert len(ones) == 6
        for one, other in zip(ones, others, strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])
    for size in (4, 100):
        for one, other in zip(
            streamed.batches("validation", size), resident.batches("validation", size), strict=True
        ):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])
    indices = torch.tensor([3, 3, 0])
    for change in (None, lambda images: 255 - images):
        one, other = (data.batch("test", indices, change) for data in (streamed, resident))
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_training_on_either_is_the_same(splits: ImageSplits) -> None:
    augmented = recipe(augmentation={"crop_padding": 1, "flip": True}, epochs=2)
    outcomes = []
    for data in (on_device(splits, CPU), on_device(decoded(splits), CPU)):
        net = network(0, channels=3)
        [trained] = train([Member(net, seed=5)], data, augmented)
        outcomes.append((trained, evaluate(net, data, "test")))
    (streamed, scores), (resident, same) = outcomes
    assert equal(streamed.last, resident.last)
    assert streamed.batch_order == resident.batch_order
    assert streamed.curves == resident.curves
    assert scores == same


def test_they_are_stored_without_pixels(splits: ImageSplits) -> None:
    tensors, description = to_tensors(splits)
    root = splits.train.images.root  # type: ignore[attr-defined]
    again = from_tensors(tensors, description, root)
    assert torch.equal(again.test.images[:], splits.test.images[:])
    assert max(tensor.nbytes for tensor in tensors.values()) <= 40 * 8


def _decoder_threads() -> list[threading.Thread]:
    return [x for x in threading.enumerate() if x.name.startswith("initbench-decoder")]


class _Counting(ImageFiles):
    """Counts how many images were decoded."""

    count = 0

    def decode(self, position: int):  # type: ignore[no-untyped-def]
        type(self).count += 1
        return super().decode(position)


def _counting(splits: ImageSplits) -> DeviceData:
    _Counting.count = 0
    images = splits.train.images
    assert isinstance(images, ImageFiles)
    counting = _Counting(images.root, images.folder, images.names, images.sizes, images.view)
    train_split = Split(counting, splits.train.labels, splits.train.ids)
    return on_device(
        ImageSplits(train_split, splits.validation, splits.test, 3, splits.mean, splits.std), CPU
    )


def test_no_more_is_decoded_ahead_than_a_few_batches(splits: ImageSplits) -> None:
    batches = _counting(splits).batches_at("train", torch.arange(40).split(2))
    next(batches)
    time.sleep(0.3)  # for threads that would go on
    assert _Counting.count <= 2 * (AHEAD + 1)
    for seen, _ in enumerate(batches, start=2):
        assert _Counting.count <= 2 * (AHEAD + seen)
    assert _Counting.count == 40


def test_index_batches_are_not_asked_for_all_at_once(splits: ImageSplits) -> None:
    asked = []

    def order():  # type: ignore[no-untyped-def]
        for start in range(0, 40, 2):
            asked.append(start)
            yield torch.arange(start, start + 2)

    batches = on_device(splits, CPU).batches_at("train", order())
    next(batches)
    assert len(asked) == AHEAD + 1
    batches.close()


def test_what_an_earlier_attempt_has_seen_is_not_decoded_again(
    splits: ImageSplits, tmp_path: Path
) -> None:
    chosen = recipe(epochs=1)  # five batches of 8
    file = CheckpointFile(tmp_path / "a.checkpoint", "ab" * 32)
    with pytest.raises(Stopped):
        train(
            [Member(network(0, channels=3), 5, Stopping(file, 3))], on_device(splits, CPU), chosen
        )
    data = _counting(splits)
    train([Member(network(0, channels=3), 5, Keeper(file))], data, chosen)
    assert _Counting.count == 2 * 8


def test_leaving_early_ends_the_threads(splits: ImageSplits) -> None:
    before = len(_decoder_threads())
    batches = on_device(splits, CPU).batches_at("train", torch.arange(40).split(4))
    next(batches)
    assert len(_decoder_threads()) > before
    batches.close()
    assert len(_decoder_threads()) == before


def test_threads_end_when_a_network_raises(splits: ImageSplits) -> None:
    class Broken(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("broken network")

    before = len(_decoder_threads())
    with pytest.raises(RuntimeError, match="broken network"):
        evaluate(Broken(), on_device(splits, CPU), "train")
    assert len(_decoder_threads()) == before


def test_a_broken_image_is_raised_when_it_is_its_turn(tmp_path: Path) -> None:
    for seed in range(12):
        save(photograph(seed), tmp_path / "photos" / f"{seed:02}.JPEG")
    (tmp_path / "photos" / "05.JPEG").write_bytes(b"no image")
    files, ids = image_files(tmp_path), torch.arange(12)
    split = Split(files, ids % 3, ids)
    data = on_device(ImageSplits(split, split, split, 3, (0.4,) * 3, (0.3,) * 3), CPU)
    batches = data.batches_at("train", ids.split(2))
    assert [next(batches)[1].tolist() for _ in range(2)] == [[0, 1], [2, 0]]
    with pytest.raises(UndecodableError, match=r"05\.JPEG"):
        next(batches)
    assert _decoder_threads() == []


def test_the_number_of_threads_changes_no_bit(
    splits: ImageSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = on_device(splits, CPU)
    first = [images for images, _ in data.batches("train", 9)]
    for threads in (1, 7):
        monkeypatch.setattr(image_files_module, "cores", lambda threads=threads: threads)
        again = [images for images, _ in data.batches("train", 9)]
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_reach_a_gpu_unchanged(splits: ImageSplits) -> None:
    streamed, resident = on_device(splits, "cuda"), on_device(decoded(splits), "cuda")
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1)).split(3)
    draws = draw(Augmentation(crop_padding=2, flip=True), 40, 3, 0, streamed.device)
    assert draws is not None
    for one, other in zip(
        streamed.batches_at("train", order, draws.apply),
        resident.batches_at("train", order, draws.apply),
        strict=True,
    ):
        assert one[0].device.type == "cuda"
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
