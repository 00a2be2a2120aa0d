"""Small worlds of installed distributions: real metadata and real modules in a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

GOOD = """
    import torch
    from initbench.api import Citation, Config, CoverageMap, Initialiser, Scope

    class GoodConfig(Config):
        std: float = 0.5

    class Good(Initialiser[GoodConfig]):
        name = "good"
        scope = Scope.POINTWISE
        summary = "normal"
        citation = Citation("Somebody. 2026.")
        version = "3"
        Config = GoodConfig

        @torch.no_grad()
        def initialise(self, network, job):
            coverage = CoverageMap.of(network)
            for name, parameter in network.named_parameters():
                draw = torch.randn(parameter.shape, generator=job.generator)
                parameter.copy_(self.config.std * draw)
                coverage.generated(name, "normal")
            return coverage
"""
"""The source of a module with a flawless initialiser `Good`."""


def good(name: str = "good", extra: str = "", *, attribute: str = "", at_import: str = "") -> str:
    """Return the source of a variant: another name, a further attribute, code run at import."""
    source = dedent(GOOD).replace('name = "good"', f'name = "{name}"')
    if attribute:
        source = source.replace('    version = "3"\n', f"    {attribute}\n")
    return f"{dedent(at_import)}\n{source}\n{dedent(extra)}"


class World:
    """A folder on the path of imports into which distributions are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        distribution: str,
        entry_points: Mapping[str, str] | str,
        modules: Mapping[str, str],
        *,
        version: str = "1.0",
        metadata: bool = True,
        folder: Path | None = None,
    ) -> Path:
        """Install a distribution and return its metadata folder.

        `entry_points` maps names to targets, or is the whole text of `entry_points.txt`; `modules`
        maps paths to their contents; without `metadata` it looks half uninstalled.
        """
        root = folder or self.folder
        info = root / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        if metadata:
            about = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
            (info / "METADATA").write_text(about)
        if not isinstance(entry_points, str):
            lines = [f"{name} = {target}" for name, target in entry_points.items()]
            entry_points = "\n".join(["[initbench]", *lines])
        (info / "entry_points.txt").write_text(entry_points)
        for path, source in modules.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(dedent(source))
        listed = [*modules, f"{info.name}/METADATA", f"{info.name}/entry_points.txt"]
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in listed))
        return info


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An empty world, on the path; what a test imports from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield World(folder)
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None) or ""
        if origin.startswith(str(tmp_path)):
            del sys.modules[name]
