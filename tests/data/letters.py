"""A data set of a few files that tests can declare as they like."""

from __future__ import annotations

import hashlib
from pathlib import Path

from initbench.data.dataset import ImageSplits
from initbench.data.files import DataFile, Download
from initbench.data.folder.filed import FileDataSet, FilesConfig
from initbench.plugin.initialiser import Citation


class Letters(FileDataSet[FilesConfig]):
    name = "letters"
    summary = "files for a test"
    citation = Citation("nobody")
    licence = "CC0"
    how_to_get = "ask the postman"
    classes = 2
    channels = 1
    native_size = 8
    Config = FilesConfig

    def __init__(
        self, *files: DataFile, downloads: tuple[Download, ...] = (), folder: str = "."
    ) -> None:
        super().__init__(FilesConfig(folder=folder))
        self._files, self._downloads = files, downloads

    def files(self) -> tuple[DataFile, ...]:
        return self._files

    def downloads(self) -> tuple[Download, ...]:
        return self._downloads

    def load(self, root: Path | None) -> ImageSplits:
        raise NotImplementedError


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below `folder` but what initbench keeps for itself."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".initbench" not in path.parts
    }
