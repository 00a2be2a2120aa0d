"""Data sets that are read from files, and where those files are.

All paths that a data set declares are relative to `folder` inside the data folder, so that a second
copy or a subset can lie beside the official files.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import Field, field_validator
from pydantic_core import to_json

from initbench.data.dataset import DataSet
from initbench.data.files import DataFile
from initbench.errors import PluginError, UserError
from initbench.plugin.initialiser import Config


class FilesConfig(Config):
    """Where the files of a data set are."""

    folder: str = Field(
        default=".",
        description="The folder inside the data folder in which the files are looked for.",
    )

    @field_validator("folder")
    @classmethod
    def _inside_the_data_folder(cls, folder: str) -> str:
        if not _is_inside(folder):
            raise ValueError(
                f"expected a folder inside the data folder, such as `copies/mine`, got `{folder}`"
            )
        return PurePosixPath(folder).as_posix()


FilesConfigT = TypeVar("FilesConfigT", bound=FilesConfig)


class FileDataSet(DataSet[FilesConfigT], Generic[FilesConfigT]):
    """A data set that is read from files below the data folder."""

    Config: ClassVar[type[Config]] = FilesConfig

    def open_files(self, root: Path | None) -> dict[str, Path]:
        """Return where each declared file is: declared path -> the first of its forms that exists.

        Raises UserError that names every file that is missing or cannot be read, and what to do.
        """
        if root is None:
            raise UserError(
                f"data set `{self.name}` is read from files, and there is no data folder: set "
                "INITBENCH_DATA to the folder in which data sets are kept (torchvision's will do)"
            )
        if not root.is_dir():
            raise UserError(
                f"data set `{self.name}`: the data folder `{root}` is not there: correct "
                f"INITBENCH_DATA, or {advice(self)}"
            )
        places = places_of(self, root)
        for place in places:
            if place.problem:
                raise UserError(f"data set `{self.name}`: {place.problem}")
        if any(place.found is None for place in places):
            raise missing_files(self, places, advice(self))
        return {place.file.path: place.found for place in places if place.found is not None}


@dataclass(frozen=True)
class Place:
    """A declared file, where it is looked for, and what is there."""

    file: DataFile
    expected: tuple[Path, ...]
    """Where its forms would be, in the order in which they are looked for."""
    form: DataFile | None = None
    """The first form that exists."""
    found: Path | None = None
    """Where that is; None where there is none, or it cannot be used."""
    problem: str = ""
    """Why what is there cannot be used, and what to do."""


def places_of(dataset: DataSet[Any], root: Path) -> tuple[Place, ...]:
    """Return what is known of each file that `dataset` declares; a missing one raises nothing.

    `root` is the data folder, which need not exist.
    """
    base = base_folder(dataset, root)
    return tuple(_place(file, base) for file in dataset.files())


def base_folder(dataset: DataSet[Any], root: Path) -> Path:
    """Return the folder to which the paths that `dataset` declares are relative."""
    return root / dataset.config.folder if isinstance(dataset.config, FilesConfig) else root


def below(base: Path, path: str) -> Path:
    """Return where a declared path is; PluginError if that is not below `base`."""
    if not _is_inside(path):
        raise PluginError(f"a data set declares `{path}`, which is not inside the data folder")
    return base / PurePosixPath(path)


def advice(dataset: DataSet[Any]) -> str:
    """Return how to get the files of a data set, as one clause."""
    ways = [f"get them with `{command('fetch', dataset)}`"] if dataset.downloads() else []
    if dataset.how_to_get:
        ways.append(dataset.how_to_get)
    return ", or ".join(ways) or "put them there"


def missing_files(dataset: DataSet[Any], places: Sequence[Place], next_step: str) -> UserError:
    """Build the error that says where each file would be that is not among the `places`."""
    missing = [place.expected[0] for place in places if place.found is None]
    return UserError(
        "\n".join(
            [
                f"data set `{dataset.name}`: {len(missing)} of its {len(places)} files not found:",
                *(f"  {path}" for path in missing),
                next_step,
            ]
        )
    )


def command(verb: str, dataset: DataSet[Any]) -> str:
    """Return the command line that does `verb` with a data set as it is configured.

    For example `initbench data fetch pcam --set source=h5`.
    """
    changed = dataset.config.model_dump(mode="json", exclude_defaults=True)
    settings = [f"{key}={_shown(value)}" for key, value in changed.items()]
    return shlex.join(
        ["initbench", "data", verb, dataset.name, *(x for s in settings for x in ("--set", s))]
    )


def _shown(value: object) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _is_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return not (pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path)


def _place(file: DataFile, base: Path) -> Place:
    expected = tuple(below(base, form.path) for form in file.forms())
    for form, path in zip(file.forms(), expected, strict=True):
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return Place(file, expected, form, problem=_unreadable(path, error.strerror))
        if problem := _problem(form, path, mode):
            return Place(file, expected, form, problem=problem)
        return Place(file, expected, form, path)
    return Place(file, expected)


def _problem(form: DataFile, path: Path, mode: int) -> str:
    is_folder = stat.S_ISDIR(mode)
    if is_folder and (form.digests or form.size is not None):
        return f"expected a file, got a folder: `{path}`; move it away"
    if not is_folder and not stat.S_ISREG(mode):
        return f"expected a file or folder, got a device or pipe: `{path}`; move it away"
    if not os.access(path, os.R_OK | (os.X_OK if is_folder else 0)):
        return _unreadable(path, "permission denied")
    return ""


def _unreadable(path: Path, reason: str | None) -> str:
    return f"`{path}` cannot be read ({reason}): repair its permissions"
