"""Zoos that others trained: the public ones of Schürholt et al., 2022.

Source: "Model Zoos: A Dataset of Diverse Populations of Neural Network Models", NeurIPS 2022, and
its archives (for MNIST https://doi.org/10.5281/zenodo.6632086). The raw archives hold a folder a
network, as Ray Tune leaves it: `checkpoint_E/checkpoints` (or `checkpoint_00000E/`), the state
dictionary after epoch E as `torch.save` writes it, and `result.json`, a line of JSON an epoch with
`training_iteration` and `test_acc`.

What is read: tensors, through `torch.load(weights_only=True)`, and those two numbers. Nothing else
in the folders is looked at. What is not: the archives' `.pt` files. They are data set objects of
the authors' code, which only unpickling, that is, running code from the file, would bring back.

Such networks are no trials: nobody here knows their batches, seeds or validation images. They are
kept as an artifact, `initbench zoo` shows them, and no fit takes them for networks of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initbench.errors import UserError
from initbench.store import blobs
from initbench.store.artifact import ARTIFACT_FORMAT, StoredArtifact
from initbench.store.environment import environment
from initbench.store.identity import digest
from initbench.store.record import Cost, TrialStatus

if TYPE_CHECKING:
    import torch

    from initbench.plugin.registry import Registry
    from initbench.store.store import Store, StoreWriter

SOURCE = "schuerholt2022"
KIND = "foreign_zoo"
MODEL = "zoo_cnn"
IMAGE_SIZE = 28

_LAYERS = {0: "conv1", 3: "conv2", 6: "conv3", 9: "linear1", 11: "linear2"}
NAMES = {
    f"module_list.{number}.{tensor}": f"{layer}.{tensor}"
    for number, layer in _LAYERS.items()
    for tensor in ("weight", "bias")
}
"""What the small CNN's tensors are called there, and here."""

_CHECKPOINT = re.compile(r"checkpoint_(0*[0-9]{1,6})")
_MOST_BYTES = 64_000_000
"""Of a checkpoint or result file: those of a network of 2,464 weights are far smaller."""

_NOTHING = Cost(wall_seconds=0, device_seconds=0, peak_memory_bytes=0, images_seen=0, steps=0)

State = dict[str, "torch.Tensor"]


def take_in_public(
    folder: Path, epochs: Sequence[int] | None, writer: StoreWriter, registry: Registry
) -> StoredArtifact:
    """Store a public zoo of small CNNs as an artifact of its own.

    Args:
        folder: of an unpacked archive: it holds a folder a network.
        epochs: whose weights are taken; None: all that every network has.
        writer: the store.
        registry: what is installed.

    Raises UserError for a folder of another form, weights that are not those of the small CNN or
    not finite, and files that hold more than tensors.
    """
    import torch

    networks = sorted(path for path in _entries(folder) if _checkpoints(path))
    if not networks:
        raise UserError(
            f"`{folder}` holds no network: expected folders with `checkpoint_0/checkpoints` and so "
            "on in them, as in the unpacked archive of a public zoo"
        )
    taken = list(epochs) if epochs is not None else _common(networks)
    states = [[_state(_file(network, epoch)) for epoch in taken] for network in networks]
    first = states[0][0]
    _check_model(first, networks[0], registry)
    for network, of_network in zip(networks, states, strict=True):
        for epoch, state in zip(taken, of_network, strict=True):
            _check(state, first, f"`{_file(network, epoch)}`")
    tensors = {
        f"kept.{name}": torch.stack([torch.stack([s[name] for s in each]) for each in states])
        for name in first
    }
    identity = {
        "kind": KIND,
        "format": ARTIFACT_FORMAT,
        "source": SOURCE,
        "model": MODEL,
        "kept_epochs": taken,
        "content": blobs.encode(tensors)[0].digest,
    }
    artifact = StoredArtifact(
        key=digest(identity),
        kind=KIND,
        identity=identity,
        status=TrialStatus.DONE,
        description={
            "label": "".join(c for c in folder.resolve().name if c.isprintable()),
            "networks": [
                {"name": network.name, "test_accuracy": _accuracies(network, taken)}
                for network in networks
            ],
        },
        cost=_NOTHING,
        environment=environment(),
    )
    return writer.commit_artifact(artifact, tensors)


def foreign_zoos(store: Store) -> list[StoredArtifact]:
    """Return the zoos of a store that others trained."""
    found = (store.artifact(key) for key in store.artifact_keys())
    return [artifact for artifact in found if artifact is not None and artifact.kind == KIND]


def _entries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError as error:
        raise UserError(
            f"cannot read `{folder}`: {error.strerror}; expected the unpacked archive of a public "
            "zoo. Its `.pt` files are pickled objects of other people's code and are not read"
        ) from error


def _checkpoints(network: Path) -> dict[int, Path]:
    """Return the checkpoint files of a network by epoch."""
    matches = ((_CHECKPOINT.fullmatch(path.name), path) for path in _entries(network))
    found = {int(match[1]): path / "checkpoints" for match, path in matches if match}
    return {epoch: path for epoch, path in sorted(found.items()) if path.is_file()}


def _common(networks: Sequence[Path]) -> list[int]:
    shared = set.intersection(*(set(_checkpoints(network)) for network in networks))
    if not shared:
        raise UserError("there is no epoch of which every network has a checkpoint")
    return sorted(shared)


def _file(network: Path, epoch: int) -> Path:
    found = _checkpoints(network).get(epoch)
    if found is None:
        raise UserError(f"`{network}` has no checkpoint after epoch {epoch}")
    return found


def _state(path: Path) -> State:
    """Return the tensors of a checkpoint under our names; nothing else may be in it."""
    import torch

    if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
        raise UserError(f"`{path}` is no checkpoint of a small CNN: a link, or far too large")
    try:
        found: Any = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # whatever the bytes make the reader raise
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"`{path}` is not read: it is no checkpoint that holds tensors alone ({reason})"
        ) from error
    if not isinstance(found, Mapping) or {*found} != {*NAMES}:
        raise UserError(
            f"`{path}`: expected the ten tensors of the small CNN (`{next(iter(NAMES))}` and so "
            "on); other architectures are not converted"
        )
    if not all(isinstance(x, torch.Tensor) and x.dtype == torch.float32 for x in found.values()):
        raise UserError(f"`{path}`: expected tensors of type float32")
    return {NAMES[name]: tensor for name, tensor in found.items()}


def _check_model(state: State, network: Path, registry: Registry) -> None:
    """Check shapes against our model, for the channels and classes that the tensors show."""
    import torch

    model = registry.model(MODEL).thing
    first, last = state["conv1.weight"], state["linear2.bias"]
    if first.ndim != 4 or last.ndim != 1 or not first.numel() or not last.numel():
        raise UserError(f"`{network}`: its first or last layer is not that of the small CNN")
    with torch.random.fork_rng(devices=[]):
        expected = model.build(first.shape[1], IMAGE_SIZE, len(last)).state_dict()
    _check(state, expected, f"`{network}`")


def _check(state: State, like: Mapping[str, torch.Tensor], where: str) -> None:
    for name, tensor in state.items():
        if tensor.shape != like[name].shape:
            raise UserError(
                f"{where}: expected `{name}` to be {tuple(like[name].shape)}, found "
                f"{tuple(tensor.shape)}"
            )
        if not tensor.isfinite().all():
            raise UserError(f"{where}: `{name}` is not finite; take the network's folder away")


def _accuracies(network: Path, epochs: Sequence[int]) -> list[float | None]:
    """Return the test accuracies that `result.json` states; None where it says nothing sound."""
    path = network / "result.json"
    if not path.is_file() or path.is_symlink() or path.stat().st_size > _MOST_BYTES:
        return [None] * len(epochs)
    found: dict[Any, float] = {}
    for line in path.read_text(errors="replace").splitlines():
        try:
            result = json.loads(line)
        except ValueError:
            continue
        value = result.get("test_acc") if isinstance(result, dict) else None
        if isinstance(value, int | float) and 0 <= value <= 1:
            found[str(result.get("training_iteration"))] = float(value)
    return [found.get(str(epoch)) for epoch in epochs]
