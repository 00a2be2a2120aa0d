"""Tensors on disk: safetensors files named by the digest of their content.

Never pickle. A file is checked against its digest before a tensor of it is used; the tensors then
are views of the file, mapped privately: pages are read when they are touched, and writing to such
a tensor does not change the file.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.errors import CorruptRecordError, StoreError
from initbench.store.record import Blob

if TYPE_CHECKING:
    import torch


def encode(tensors: Mapping[str, torch.Tensor]) -> tuple[Blob, bytes]:
    """Return the bytes of the file that holds `tensors`, and its name.

    For a moment there are two copies of all tensors, the serialised one and the bytes, which is
    what checking the file against memory costs; artifacts are megabytes, seldom gigabytes.
    """
    import safetensors.torch

    data = safetensors.torch.save(_separate(tensors))
    return Blob(digest=hashlib.sha256(data).hexdigest(), bytes=len(data)), data


def verify(path: Path, blob: Blob) -> None:
    """Raise CorruptRecordError unless the file `path` is what `blob` names.

    Raises StoreError if there is no such file or it cannot be read.
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode) or info.st_size != blob.bytes:
            raise CorruptRecordError(
                f"`{path}` is corrupt: expected {blob.bytes} bytes, found {info.st_size}"
            )
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise StoreError(
            f"`{path}` is not there; copy it from the results folder that its record came from, "
            "or have it trained again"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot read `{path}`: {error.strerror}") from error
    if found != blob.digest:
        raise CorruptRecordError(f"`{path}` is corrupt: its content does not fit its digest")


def decode(data: bytes, blob: Blob, path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors in `data`, which was read from `path`.

    Raises CorruptRecordError unless the data are what `blob` names.
    """
    import safetensors.torch

    if len(data) != blob.bytes or hashlib.sha256(data).hexdigest() != blob.digest:
        raise CorruptRecordError(f"`{path}` is corrupt: its tensors do not fit their digest")
    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise CorruptRecordError(f"`{path}` is corrupt: {error}") from error


def load(path: Path, blob: Blob, prefix: str = "") -> dict[str, torch.Tensor]:
    """Return the tensors in `path` whose names start with `prefix`, under the rest of their names.

    Raises as `verify` does.
    """
    import safetensors

    verify(path, blob)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise CorruptRecordError(f"`{path}` is corrupt: {error}") from error


def _separate(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    separate: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        if plain.untyped_storage().data_ptr() in storages:
            plain = plain.clone()
        storages.add(plain.untyped_storage().data_ptr())
        separate[name] = plain
    return separate
