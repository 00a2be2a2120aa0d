"""Checkpoints of graph hypernetworks, in the format of the released GHN-1 and GHN-2.

A file is a zip-format PyTorch file of a dictionary: `state_dict`, `config`, and what training
leaves behind. A Noise GHN has `noise_decoder` besides. Files are read with `weights_only`, so
nothing in them is executed; configurations are checked before a tensor is made, and tensors before
they are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from initbench.api import UserError
from initbench_ghn.architecture import Architecture, Noise
from initbench_ghn.network import GHN

LARGEST_FILE = 4 * 2**30
_CONFIG = {
    "hid": int,
    "max_shape": tuple,
    "num_classes": int,
    "hypernet": str,
    "decoder": str,
    "weight_norm": bool,
    "ve": bool,
    "layernorm": bool,
}
_LIMITS: dict[str, int] = {"hid": 1024, "num_classes": 100_000}


def load(path: Path) -> GHN:
    """Return the hypernetwork of a file, in evaluation mode.

    Raises:
        UserError: there is no such file, or it is truncated, of another kind, or hostile.
    """
    if not path.is_file():
        raise UserError(f"checkpoint `{path}`: there is no such file")
    if path.stat().st_size > LARGEST_FILE:
        raise UserError(f"checkpoint `{path}`: larger than any graph hypernetwork, 4 GiB")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        raise UserError(
            f"checkpoint `{path}`: expected a PyTorch file of tensors and plain values; it is "
            "damaged, or holds objects, which are never loaded because they could run code "
            f"({type(error).__name__})"
        ) from error
    try:
        return _network(content)
    except UserError as error:
        raise UserError(f"checkpoint `{path}`: {error}") from error


def _network(content: Any) -> GHN:
    if not isinstance(content, Mapping) or not {"state_dict", "config"} <= content.keys():
        raise UserError("expected a dictionary with `state_dict` and `config`")
    state = content["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(x, Tensor) for x in state.values()):
        raise UserError("expected `state_dict` to hold tensors only")
    architecture = architecture_of(content["config"], content.get("noise_decoder"))
    return restored(architecture, state)


def architecture_of(config: Any, noise_decoder: Any = None) -> Architecture:
    """Return the architecture that a checkpoint states; raise UserError if it is not one."""
    if not isinstance(config, Mapping):
        raise UserError("expected `config` to be a dictionary")
    if unknown := sorted(map(str, config.keys() - _CONFIG.keys())):
        raise UserError(f"`config` has unknown keys {_listed(unknown)}: it is of another GHN")
    if missing := sorted(_CONFIG.keys() - config.keys()):
        raise UserError(f"`config` lacks {_listed(missing)}")
    values: dict[str, Any] = {**config, "max_shape": _shape(config["max_shape"], "max_shape")}
    for name, kind in _CONFIG.items():
        if type(values[name]) is not kind:
            raise UserError(
                f"`config`: expected `{name}` to be of type {kind.__name__}, got {values[name]!r}"
            )
    for name, limit in _LIMITS.items():
        if not 1 <= values[name] <= limit:
            raise UserError(f"`config`: expected `{name}` from 1 to {limit}, got {values[name]}")
    if values["hid"] % 4:
        raise UserError(f"`config`: expected `hid` to be a multiple of 4, got {values['hid']}")
    for name, known in {"hypernet": ("gatedgnn", "mlp"), "decoder": ("conv", "mlp")}.items():
        if values[name] not in known:
            raise UserError(f"`config`: expected `{name}` to be one of {_listed(known)}")
    if noise_decoder is None:
        return Architecture(**values)
    shape, noise = _noise(noise_decoder)
    return Architecture(**values, decoder_shape=shape, noise=noise)


def restored(architecture: Architecture, state: Mapping[str, Tensor]) -> GHN:
    """Return a hypernetwork with these tensors; raise UserError if they do not fit strictly."""
    with torch.device("meta"):
        network = GHN(architecture)
    expected = {name: tuple(x.shape) for name, x in network.state_dict().items()}
    # The noise of released files: means and (squared before use) deviations, never trained.
    own = {name: x for name, x in state.items() if not name.startswith("decoder.gen_")}
    if missing := sorted(expected.keys() - own.keys()):
        raise UserError(f"`state_dict` lacks {_listed(missing[:3])}")
    if unknown := sorted(map(str, own.keys() - expected.keys())):
        raise UserError(f"`state_dict` has unknown tensors {_listed(unknown[:3])}")
    for name, shape in expected.items():
        if tuple(own[name].shape) != shape:
            raise UserError(f"`{name}`: expected shape {shape}, got {tuple(own[name].shape)}")
        if not own[name].is_floating_point() or not own[name].isfinite().all():
            raise UserError(f"`{name}`: expected finite floating-point numbers")
    network.load_state_dict({name: x.float().clone() for name, x in own.items()}, assign=True)
    return network.requires_grad_(False).eval()


def stated(architecture: Architecture) -> dict[str, Any]:
    """Return what a checkpoint says of an architecture, as plain JSON."""
    config = {name: getattr(architecture, name) for name in _CONFIG}
    content: dict[str, Any] = {"config": {**config, "max_shape": list(architecture.max_shape)}}
    if architecture.noise is not None or architecture.decoder_shape is not None:
        noise = architecture.noise or Noise(0, 0.0)
        content["noise_decoder"] = {
            "noise_dim": noise.size,
            "out_shape": list(architecture.tile),
            "var_init": noise.std,
            "train_noise": False,
        }
    return content


def _noise(stated: Any) -> tuple[tuple[int, int, int, int], Noise | None]:
    keys = {"noise_dim", "out_shape", "var_init", "train_noise"}
    if not isinstance(stated, Mapping) or stated.keys() != keys:
        raise UserError(f"expected `noise_decoder` to have the keys {_listed(sorted(keys))}")
    size, std = stated["noise_dim"], stated["var_init"]
    if type(size) is not int or not 0 <= size <= 1024:
        raise UserError(f"`noise_decoder`: expected `noise_dim` from 0 to 1024, got {size!r}")
    if not isinstance(std, int | float) or not 0 <= std <= 1e6:
        raise UserError(f"`noise_decoder`: expected `var_init` to be a number from 0, got {std!r}")
    if stated["train_noise"] is not False:
        raise UserError("`noise_decoder`: trained noise is not supported")
    shape = _shape(stated["out_shape"], "out_shape")
    return shape, Noise(size, float(std)) if size else None


def _shape(value: Any, name: str) -> tuple[int, int, int, int]:
    is_shape = isinstance(value, list | tuple) and len(value) == 4
    if not is_shape or not all(type(x) is int and 1 <= x <= 1024 for x in value):
        raise UserError(f"expected `{name}` to be four whole numbers from 1 to 1024, got {value!r}")
    if value[2] != value[3]:
        raise UserError(f"expected `{name}` to have a square kernel, got {value!r}")
    return value[0], value[1], value[2], value[3]


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)
