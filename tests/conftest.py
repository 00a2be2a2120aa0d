"""What all tests share: a home of their own, no leftovers of the user's settings, few threads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is imported: tests run beside each other on few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("initbench", derandomize=True, max_examples=50, deadline=None)
settings.load_profile("initbench")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Have one worker more than cores: many a test waits for the processes it starts."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a test its own home and none of the caller's initbench or MLflow settings."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name in list(os.environ):
        if name.startswith(("INITBENCH_", "MLFLOW_")) and name != "INITBENCH_DATA":
            monkeypatch.delenv(name)
    return home


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run a test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
