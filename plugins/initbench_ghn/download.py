"""Fetching the checkpoints that the authors of GHN-2 released, when asked to.

What comes is believed by its git blob id alone: SHA-1 over "blob ", the size, a zero byte and the
content.
"""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path

from initbench.api import UserError
from initbench_ghn.files import FOLDER, RELEASED, how_to_get

SOURCE = "https://github.com/facebookresearch/ppuda/raw/main/checkpoints/"
LARGEST = 64 * 2**20
"""All of them are smaller."""


def fetch(name: str, source: str = SOURCE) -> Path:
    """Put a released checkpoint into `ghn/` of the data folder, and return where it is.

    Raises:
        UserError: there is no such checkpoint, no data folder, no way to it, or what came is
            another file.
    """
    if name not in RELEASED:
        known = ", ".join(f"`{known}`" for known in RELEASED)
        raise UserError(f"no released checkpoint `{name}`; known: {known}")
    data = os.environ.get("INITBENCH_DATA")
    if not data:
        raise UserError("there is no data folder: set INITBENCH_DATA to the folder of data sets")
    path = Path(data) / FOLDER / name
    if path.is_file() and blob_id(path.read_bytes()) == RELEASED[name]:
        return path
    try:
        with urllib.request.urlopen(source + name, timeout=60) as answer:
            content = answer.read(LARGEST + 1)
    except (OSError, urllib.error.URLError) as error:
        raise UserError(f"cannot fetch `{name}`: {error}; {how_to_get(name)}") from error
    if (found := blob_id(content)) != RELEASED[name]:
        raise UserError(
            f"what came for `{name}` is another file, or incomplete: its git blob id is {found}, "
            f"expected {RELEASED[name]}; nothing was kept"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        raise UserError(f"cannot write `{path}`: {error.strerror or error}") from error
    return path


def blob_id(content: bytes) -> str:
    """Return what `git hash-object` says of a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
