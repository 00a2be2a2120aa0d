from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(in_tmp_path: Path) -> None:
    """Let a test write suite files without a thought."""
