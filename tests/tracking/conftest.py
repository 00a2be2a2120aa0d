"""A database schema made once, and a real MLflow server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from initbench.tracking.connection import connect, settings
from initbench.tracking.location import location
from tests.tracking.worlds import with_database

_PATIENCE_SECONDS = 120


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database as a first run makes it: the schema, which takes seconds to make."""
    pytest.importorskip("mlflow")
    root = tmp_path_factory.mktemp("template")
    with settings():
        connect(location(root))
    return root / "mlflow.db"


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    """An empty results folder with an empty MLflow database."""
    return with_database(tmp_path / "results", template)


@pytest.fixture(scope="session")
def server(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server on this machine."""
    folder = with_database(tmp_path_factory.mktemp("server"), template)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ],
        cwd=folder,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(folder)},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_healthy(process, address, folder / "log")
        yield address
    finally:
        # The group, because the server starts processes of its own.
        os.killpg(process.pid, 9)
        process.wait(10)
        log.close()


def _wait_until_healthy(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the MLflow server did not start:\n{log.read_text()}")
