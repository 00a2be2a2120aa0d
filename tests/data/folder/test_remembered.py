"""What is remembered is what was put, whatever happens to the file."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.data.folder.remembered import Remembered, cache_folder

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(entries=st.lists(st.tuples(st.text(), JSON), max_size=6))
def test_what_was_put_last_comes_back(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("memory") / "deep" / "memory.json"
    for key, value in entries:
        Remembered(path).put(key, value)
    for key, value in dict(entries).items():
        assert Remembered(path).get(key) == value
    assert Remembered(path).get("never put" * 9) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"format": 1, "sha256": 3, "entries": []}',
        b"[" * 100_000,
        b"null",
    ],
)
def test_a_damaged_file_is_empty_and_written_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "memory.json"
    path.write_bytes(content)
    assert Remembered(path).get("a") is None
    Remembered(path).put("a", 1)
    assert Remembered(path).get("a") == 1


def test_a_changed_value_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    Remembered(path).put("a", "true")
    tree = json.loads(path.read_text())
    tree["entries"]["a"] = "false"
    path.write_text(json.dumps(tree))
    assert Remembered(path).get("a") is None


def test_the_oldest_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("initbench.data.folder.remembered._MOST_ENTRIES", 3)
    memory = Remembered(tmp_path / "memory.json")
    for key in "abcad":
        memory.put(key, key)
    assert {key: memory.get(key) for key in "abcd"} == {"a": "a", "b": None, "c": "c", "d": "d"}


def test_writers_at_once_leave_a_whole_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"

    def work(name: str) -> None:
        for turn in range(20):
            Remembered(path).put(name, turn)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(Remembered(path).get(name) == 19 for name in "abcd")
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    memory = Remembered(tmp_path / "file" / "memory.json")
    memory.put("a", 1)
    assert memory.get("a") is None


def test_the_cache_is_in_the_data_folder_or_else_with_the_user(
    tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder(tmp_path) == tmp_path / ".initbench"
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    nowhere = tmp_path / "not there"
    assert cache_folder(nowhere) == own_home / ".cache" / "initbench"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder(nowhere) == own_home / ".cache" / "initbench"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder(nowhere) == tmp_path / "xdg" / "initbench"
