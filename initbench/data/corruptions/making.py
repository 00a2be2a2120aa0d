"""Making CIFAR-10-C: corrupted test images, in the layout of the official files.

One file a corruption, `fog.npy`: uint8 (5 n, 32, 32, 3), where rows (s-1) n .. s n - 1 are the n
test images at severity s; and `labels.npy`, the labels five times. `made.json` beside them says
from what and with what they were made.

What is guaranteed. The bytes of a file depend on the test images, the corruption and the versions
of the libraries, and on nothing else: the draws for each chunk of images are seeded by name,
severity and number of the chunk. A process may be killed at any moment, and another one continues
with the chunks that are missing. A file has its name when it is whole. Files of different test
images never stand side by side.

By which steps. Chunks are written to `fog.npy.part` and, when they are on disk, noted in
`fog.npy.journal`; a journal that was begun with other libraries is thrown away together with its
file. At the end `made.json` is replaced, the journal deleted, the file renamed. One process at a
time holds the lock of the folder; others wait.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from initbench.data.corruptions.partial import PartialArray, part_of, replace_file
from initbench.data.corruptions.processes import PROTOCOL, Chunk, corrupted_by_processes
from initbench.data.files import Report, silent
from initbench.errors import UserError
from initbench.plugin.initialiser import Config

SEEDS = f"SHA-256 of `{PROTOCOL}/<corruption>/<severity>/<chunk>`, as eight big-endian words"
CHUNK = 250
"""Images that share a generator."""
SEVERITIES = 5

LABELS = "labels.npy"
_DESCRIPTION = "made.json"


class MadeFile(Config):
    """One finished file."""

    sha256: str
    severities: tuple[str, ...]
    """SHA-256 of the pixels of each severity: a reader of one need not read all."""
    made_with: dict[str, str]
    """Versions of the libraries that pixels depend on."""
    photographs: dict[str, str] | None
    """SHA-256 of each photograph; None where there was none, so that frost is the substitute."""


class Made(Config):
    """What `made.json` says about the folder that it lies in."""

    protocol: str
    seeds: str
    images: int
    source: str
    """SHA-256 of labels and pixels of the test images."""
    files: dict[str, MadeFile]

    def check(self, path: Path, severity: int, pixels: NDArray[np.uint8]) -> None:
        """Raise UserError if `pixels` are not those that were made for a severity of a file."""
        file = self.files.get(path.stem)
        if file is None:
            raise not_made(path)
        if file.severities[severity - 1] != _sha256(pixels.data):
            raise UserError(
                f"`{path}`: severity {severity} is not what was made: expected pixels with digest "
                f"{file.severities[severity - 1]}, got {_sha256(pixels.data)}; delete the file to "
                "have it made again"
            )


def make_corrupted(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    folder: Path,
    names: Sequence[str],
    report: Report = silent,
    workers: int | None = None,
    photographs: Sequence[Path] = (),
) -> None:
    """Make the files of the corruptions `names` that are missing in `folder`.

    Args:
        images: test images (n, 32, 32, 3).
        labels: their labels (n,).
        folder: where the files are, or are to be; it is made if missing.
        names: corruptions, as in the catalogue.
        report: is told the images that are finished, of all that were missing.
        workers: processes; left out, one a core.
        photographs: files for frost; without any, the procedural substitute is used.

    Raises:
        UserError: the folder cannot be written, holds too little space or files of other images.
    """
    source = digest_of(images, labels)
    if not _missing(folder, names, source):
        return
    with _explained(folder), _locked(folder, report):
        missing = _missing(folder, names, source)
        making = _Making(images, labels, folder, source, photographs)
        making.make(missing, report, workers or _cores())


def made_in(folder: Path) -> Made | None:
    """Return what was made in `folder`, or None where nothing was.

    Raises UserError where `made.json` cannot be understood.
    """
    path = folder / _DESCRIPTION
    try:
        made = Made.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(
            f"`{path}` cannot be read ({error.strerror}); repair its permissions"
        ) from error
    except ValidationError as error:
        raise UserError(
            f"`{path}` is damaged or of another version of initbench; "
            f"expected a description of protocol `{PROTOCOL}`; "
            f"move the folder `{folder}` away to have its files made again"
        ) from error
    if made.protocol != PROTOCOL:
        raise UserError(
            f"the files in `{folder}` were made by another version of initbench: expected "
            f"protocol `{PROTOCOL}`, got `{made.protocol}`; "
            "move the folder away to have them made again"
        )
    return made


def digest_of(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> str:
    """Return the SHA-256 of labels and pixels."""
    sha = hashlib.sha256(labels.astype(np.uint8).tobytes())
    sha.update(np.ascontiguousarray(images).data)
    return sha.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the libraries that the pixels of corrupted images depend on."""
    import PIL
    import scipy
    from PIL import features

    return {
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "pillow": PIL.__version__,
        "jpeg": str(features.version("libjpeg_turbo") or features.version("jpg")),
    }


def made_from(folder: Path, source: str) -> Made | None:
    """Return what was made in `folder`, or None where nothing was.

    Raises UserError where that was made from images with another digest than `source`.
    """
    made = made_in(folder)
    if made is not None and made.source != source:
        raise UserError(
            f"the files in `{folder}` were made from other test images: expected images with "
            f"digest {made.source}, got {source}; restore the CIFAR-10 files that they were made "
            "from, or move the folder away to have its files made again"
        )
    return made


def _missing(folder: Path, names: Sequence[str], source: str) -> list[str]:
    """Return the corruptions whose files are not in `folder`."""
    made = made_from(folder, source)
    missing = []
    for name in dict.fromkeys(names):
        path = folder / f"{name}.npy"
        if not path.exists():
            missing.append(name)
        elif made is None or name not in made.files:
            raise not_made(path)
    return missing


def not_made(path: Path) -> UserError:
    """Build the error for a file that lies where files are made, but was not."""
    return UserError(
        f"`{path}` was not made here: expected it in `{path.with_name(_DESCRIPTION)}`; "
        "move it away (official files belong into the folder `CIFAR-10-C`)"
    )


class _Making:
    """What one call of `make_corrupted` does, once it has the lock."""

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        folder: Path,
        source: str,
        photographs: Sequence[Path],
    ) -> None:
        self._images = images
        self._labels = labels
        self._folder = folder
        self._photographs = photographs
        self._shape = (SEVERITIES * len(images), *images.shape[1:])
        self._made = made_in(folder) or Made(
            protocol=PROTOCOL, seeds=SEEDS, images=len(images), source=source, files={}
        )
        self._versions = versions()
        self._parts: dict[str, PartialArray] = {}

    def make(self, names: Sequence[str], report: Report, workers: int) -> None:
        """Make the files of the corruptions `names`, and that of the labels."""
        self._check_space(names)
        self._write_labels()
        self._parts = {name: self._part(name) for name in names}
        chunks = [
            Chunk(name, severity, number)
            for name in names
            for severity in range(1, SEVERITIES + 1)
            for number in range(-(-len(self._images) // CHUNK))
        ]
        todo = [c for c in chunks if self._first_row(c) not in self._parts[c.name].finished]
        left = Counter(chunk.name for chunk in todo)
        for name in names:
            if not left[name]:
                self._finish(name)
        if not todo:
            return
        total = len(names) * self._shape[0]
        done = total - sum(len(self._clean(chunk)) for chunk in todo)
        work = ((chunk, self._clean(chunk)) for chunk in todo)
        processes = min(workers, len(todo))
        with closing(corrupted_by_processes(work, processes, self._photographs)) as results:
            for chunk, pixels in results:
                self._parts[chunk.name].write(self._first_row(chunk), pixels)
                left[chunk.name] -= 1
                if not left[chunk.name]:
                    self._finish(chunk.name)
                done += len(pixels)
                report(f"{chunk.name}, severity {chunk.severity}", done, total)

    def _clean(self, chunk: Chunk) -> NDArray[np.uint8]:
        return self._images[chunk.number * CHUNK : (chunk.number + 1) * CHUNK]

    def _first_row(self, chunk: Chunk) -> int:
        return (chunk.severity - 1) * len(self._images) + chunk.number * CHUNK

    def _part(self, name: str) -> PartialArray:
        """Return the file of a corruption as far as it is made, from the same and with the same."""
        identity = [self._made.protocol, self._made.source, self._versions, self._assets(name)]
        return PartialArray(self._path(name), self._shape, json.dumps(identity))

    def _finish(self, name: str) -> None:
        """Describe a file that is complete, and give it its name."""
        pixels = self._parts[name].array()
        file = MadeFile(
            sha256=_sha256(pixels.data),
            severities=tuple(_sha256(part.data) for part in pixels.reshape(SEVERITIES, -1)),
            made_with=self._versions,
            photographs=self._assets(name),
        )
        files = {**self._made.files, name: file}
        self._made = self._made.model_copy(update={"files": files})
        replace_file(
            self._folder / _DESCRIPTION, self._made.model_dump_json(indent=1).encode() + b"\n"
        )
        self._parts[name].commit()

    def _assets(self, name: str) -> dict[str, str] | None:
        """Return the digests of the photographs that a corruption uses, if it does."""
        if name != "frost" or not self._photographs:
            return None
        return {path.name: _sha256(path.read_bytes()) for path in self._photographs}

    def _write_labels(self) -> None:
        content = io.BytesIO()
        np.save(content, np.tile(self._labels.astype(np.uint8), SEVERITIES))
        path = self._folder / LABELS
        if not path.exists():
            replace_file(path, content.getvalue())
        elif path.read_bytes() != content.getvalue():
            raise UserError(
                f"`{path}` does not hold the labels of these test images, {SEVERITIES} times; "
                f"move the folder `{self._folder}` away to have its files made again"
            )

    def _check_space(self, names: Sequence[str]) -> None:
        """Raise UserError if the disk cannot hold what is to be made."""
        parts = [part_of(self._path(name)) for name in names]
        written = sum(part.stat().st_blocks * 512 for part in parts if part.exists())
        needed = len(names) * math.prod(self._shape) - written
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise UserError(
                f"no space to make {len(names)} corruptions in `{self._folder}`: expected "
                f"{needed / 1e9:.1f} GB, got {free / 1e9:.1f} GB; free some, or ask for fewer "
                "corruptions"
            )

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.npy"


@contextmanager
def _locked(folder: Path, report: Report) -> Iterator[None]:
    """Hold the lock of `folder`, which is made if missing; wait while another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process that makes files in {folder}", 0, 1)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn an OSError into a UserError that says what to do."""
    try:
        yield
    except BrokenPipeError:  # whoever is reported to has gone
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"no space left to make files in `{folder}`; free some and run again, "
                "all that was finished is kept"
            ) from error
        raise UserError(
            f"cannot make files in `{folder}`: {error.strerror or error}; make the folder "
            "writable, or put the official files into the folder `CIFAR-10-C` beside it"
        ) from error


def _sha256(data: memoryview | bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
