"""One small zoo for all tests of this room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from initbench.store.store import Store
from initbench.zoo.stored import StoredZoo, stored_zoos
from tests.zoo import worlds


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A results folder with the zoo, which no test changes."""
    folder = tmp_path_factory.mktemp("zoo") / "results"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert worlds.train(folder) == 0
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture
def store(results: Path) -> Store:
    return Store(results)


@pytest.fixture
def zoo(store: Store) -> StoredZoo:
    (found,) = stored_zoos(store)
    return found
