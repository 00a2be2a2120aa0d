"""A results folder, its writer and a spool for every test that asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from initbench.store.spool import Spool
from initbench.store.store import Store, StoreWriter


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def writer(store: Store) -> Iterator[StoreWriter]:
    with store.lock("test") as writer:
        yield writer


@pytest.fixture
def spool(store: Store) -> Spool:
    return Spool(store.paths.spool / "run" / "worker-0")
