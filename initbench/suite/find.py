"""Finding suite files: by path, or by name among those that come with initbench."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import initbench
from initbench.errors import UserError, closest

_SUFFIXES = (".yaml", ".yml")


@cache
def bundled_suites() -> dict[str, Path]:
    """Return the suites that come with initbench, by name."""
    package = Path(initbench.__file__).parent
    installed = package / "bundled_suites"
    folder = installed if installed.is_dir() else package.parent / "suites"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


@dataclass(frozen=True)
class SuiteFile:
    """A suite file: its path, its name in messages, and what a command calls it."""

    path: Path
    shown: str
    argument: str


def find_suite(name_or_path: str | Path) -> SuiteFile:
    """Find a suite file by path, or a bundled suite by name."""
    text = str(name_or_path)
    path = Path(text)
    bundled = bundled_suites()
    try:
        if path.is_file() or (path.exists() and text not in bundled):
            resolved = path.resolve()
            names = [name for name, other in bundled.items() if other.resolve() == resolved]
            return SuiteFile(path, text, names[0] if names else text)
    except OSError as error:
        raise UserError(f"cannot read `{text}`: {error.strerror or error}") from error
    if text in bundled:
        return SuiteFile(bundled[text], _relative(bundled[text]), text)
    raise _not_found(path, list(bundled))


def _not_found(path: Path, bundled: list[str]) -> UserError:
    known = {name: name for name in bundled}
    kind = "suite"
    if path.suffix in _SUFFIXES or path.name != str(path):
        kind = "suite file"
        neighbours = path.parent.glob("*.y*ml") if path.parent.is_dir() else ()
        known |= {other.stem: str(other) for other in neighbours}
    near = [f"`{known[name]}`" for name in closest(path.stem, known)]
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    names = ", ".join(f"`{name}`" for name in bundled)
    return UserError(
        f"no {kind} `{path}`; {meant}give the path of a YAML file, or the name of a bundled "
        f"suite ({names})"
    )


def _relative(path: Path) -> str:
    """Return a path as short as it can be written here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
