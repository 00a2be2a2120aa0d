"""The identity of code: what a key says about whose code computed the numbers."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from initbench.plugin.discovery import Entry
from initbench.plugin.hooks import PROJECT
from initbench.store.record import PROTOCOL_VERSION
from initbench.suite.trial import Code

_SOURCES = {".py", ".so", ".pyd", ".yaml", ".json"}


def code_of(thing: Any, entry: Entry) -> Code:
    """Return the identity of the code behind `thing`, which `entry` provides.

    It is the version that the author declares on the class. Without one it is, for the harness,
    the protocol version (golden tests guard what the harness computes) and, for everybody else,
    the digest of every source file of the distribution: an edit anywhere in it may change results.
    """
    declared = getattr(thing, "version", None)
    if declared is not None:
        return Code(entry.distribution, version=declared)
    if entry.distribution == PROJECT:
        return Code(PROJECT, version=f"protocol {PROTOCOL_VERSION}")
    return Code(entry.distribution, digest=_digest(entry.distribution, entry.module))


@cache
def _digest(distribution: str, module: str) -> str:
    """Return the SHA-256 over the relative paths and contents of all source files."""
    total = hashlib.sha256()
    for name, path in sorted(_source_files(distribution, module)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{name}\0{content}\n".encode())
    return total.hexdigest()


def _source_files(distribution: str, module: str) -> Iterator[tuple[str, Path]]:
    """Yield each source file with its path relative to the place it was installed in."""
    installed = metadata.distribution(distribution)
    listed = [] if _is_editable(installed) else installed.files or []
    # Files outside the package folders (scripts, the installer's notes) depend on the machine.
    inside = [f for f in listed if ".." not in f.parts and not f.parts[0].endswith(".dist-info")]
    sources = [(f.as_posix(), Path(str(f.locate()))) for f in inside if _is_source(Path(f))]
    yield from (x for x in sources if x[1].is_file()) if sources else _files_of_package(module)


def _files_of_package(module: str) -> Iterator[tuple[str, Path]]:
    """Yield the source files of the outermost regular package (or module) that holds `module`."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        # Namespace packages, which many distributions may share, have no file.
        found = importlib.import_module(".".join(parts[:depth])).__file__
        if found is not None:
            break
    path = Path(str(found))
    if path.name != "__init__.py":
        yield path.name, path
        return
    root = path.parent
    for source in root.rglob("*"):
        if _is_source(source.relative_to(root)) and source.is_file():
            yield source.relative_to(root.parent).as_posix(), source


def _is_source(path: Path) -> bool:
    return path.suffix in _SOURCES and "__pycache__" not in path.parts


def _is_editable(distribution: metadata.Distribution) -> bool:
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))
