"""Released checkpoints are fetched when asked for, and kept only if they are genuine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from initbench_ghn import download
from initbench_ghn.download import blob_id, fetch

from initbench.api import UserError
from initbench.cli import run_command

NAME = "ghn2_cifar10.pt"
CONTENT = b"the checkpoint"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where a released file is served, and an empty data folder."""
    monkeypatch.setenv("INITBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setitem(download.RELEASED, NAME, blob_id(CONTENT))
    (tmp_path / NAME).write_bytes(CONTENT)
    return tmp_path


def test_a_checkpoint_lands_in_the_data_folder_and_is_not_fetched_twice(source: Path) -> None:
    path = fetch(NAME, f"{source.as_uri()}/")
    assert path == source / "data" / "ghn" / NAME
    assert path.read_bytes() == CONTENT
    assert fetch(NAME, "file:///nowhere/") == path
    path.write_bytes(b"damaged")
    assert fetch(NAME, f"{source.as_uri()}/").read_bytes() == CONTENT


@pytest.mark.parametrize("content", [b"another file", CONTENT[:-1], b""])
def test_anything_else_is_not_kept(source: Path, content: bytes) -> None:
    (source / NAME).write_bytes(content)
    with pytest.raises(UserError, match="another file, or incomplete"):
        fetch(NAME, f"{source.as_uri()}/")
    assert not (source / "data").exists()


def test_what_cannot_be_fetched_says_what_to_do(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"cannot fetch .*git hash-object"):
        fetch(NAME, "file:///nowhere/")
    assert run_command(["fetch-ghn", "ghn3.pt"]) == 2
    assert "no released checkpoint `ghn3.pt`; known: `ghn2_" in capsys.readouterr().err
    monkeypatch.delenv("INITBENCH_DATA")
    with pytest.raises(UserError, match="set INITBENCH_DATA"):
        fetch(NAME)


def test_the_id_is_that_of_git(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    command = ["git", "hash-object", str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert blob_id(CONTENT) == done.stdout.strip()
