"""Where checkpoints of graph hypernetworks are, and how to get the released ones."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

FOLDER = "ghn"
"""Below the data folder."""

RELEASED = {
    "ghn2_cifar10.pt": "4f290e0fad1b73066eeabb50be52e0c377d0b15b",
    "ghn2_imagenet.pt": "7b5d6733e9fdf0069bc6186cad3a0b1b54fda68d",
    "ghn1_cifar10.pt": "0c97a283aefc0445dd357c08f1b36698149b8013",
    "ghn1_imagenet.pt": "985ebeb350c4ae79e0553d88c07d986fa69c227b",
    "mlp_cifar10.pt": "3a987c98b437fd2dfc603668a846f2b632ed28a3",
}
"""Files that the authors of GHN-2 released, with the git blob ids that identify them."""


def find(name: str) -> Path | None:
    """Return the checkpoint of this name: a path, or a file in `ghn/` below the data folder."""
    data = os.environ.get("INITBENCH_DATA")
    places = [Path(name).expanduser(), *([Path(data) / FOLDER / name] if data else [])]
    return next((path for path in places if path.is_file()), None)


def how_to_get(name: str) -> str:
    """Say what to do about a checkpoint that is not there."""
    text = (
        f"there is no checkpoint `{name}`, neither as a path nor in `{FOLDER}/` of INITBENCH_DATA"
    )
    if name not in RELEASED:
        return text
    return (
        f"{text}; it is `checkpoints/{name}` of https://github.com/facebookresearch/ppuda: put it "
        f"there (`git hash-object {name}` gives {RELEASED[name]}), or `initbench fetch-ghn {name}`"
    )


def checked_digest(name: str, given: str | None) -> str | None:
    """Return the SHA-256 of a checkpoint, or `given` where it is not there.

    Raises ValueError if the file has another digest than the one given.
    """
    path = find(name)
    if path is None:
        return given
    stat = path.stat()
    found = _digest(path, stat.st_size, stat.st_mtime_ns)
    if given not in (None, found):
        raise ValueError(f"`{path}` has the SHA-256 {found}, expected {given}")
    return found


@lru_cache(maxsize=8)
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
