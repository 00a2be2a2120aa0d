"""Official files are told from others, once: digests are remembered until a file changes."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.data.dataset import Remark
from initbench.data.files import DataFile
from initbench.data.folder.digests import algorithm_of, digest_of
from initbench.data.folder.remembered import cache_folder
from initbench.data.folder.verify import FileState, remarks, remember_official, verify
from initbench.errors import PluginError
from tests.data.letters import Letters, md5, sha256

CONTENT = b"official content"
PLAIN = DataFile("a.bin", (md5(CONTENT), sha256(CONTENT)))


class Listener:
    """Notes for which files a digest was computed."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        self.heard.append(what)


def _states(*files: DataFile, root: Path) -> list[FileState]:
    return [verdict.state for verdict in verify(Letters(*files), root)]


def test_any_official_digest_will_do(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    for digests in ((md5(CONTENT),), (md5(b"other edition"), md5(CONTENT)), PLAIN.digests):
        assert _states(DataFile("a.bin", digests), root=tmp_path) == [FileState.OFFICIAL]


def test_what_is_found_is_judged_by_its_own_form(tmp_path: Path) -> None:
    packed = DataFile("a.gz", (sha256(b"the gzip file"),), alternatives=(PLAIN,))
    (tmp_path / "a.bin").write_bytes(CONTENT)
    (verdict,) = verify(Letters(packed), tmp_path)
    assert (verdict.path, verdict.found) == ("a.gz", tmp_path / "a.bin")
    assert (verdict.state, verdict.expected) == (FileState.OFFICIAL, PLAIN.digests)


def test_a_gzip_file_written_by_another_program_holds_the_official_content(tmp_path: Path) -> None:
    file = DataFile("a.gz", (md5(b"the official gzip file"), f"gzip+{sha256(CONTENT)}"))
    for level in (1, 9):
        (tmp_path / "a.gz").write_bytes(gzip.compress(CONTENT, level))
        assert _states(file, root=tmp_path) == [FileState.OFFICIAL]
    for broken in (gzip.compress(CONTENT)[:-9], CONTENT, b"", gzip.compress(CONTENT) + b"rest"):
        (tmp_path / "a.gz").write_bytes(broken)
        assert _states(file, root=tmp_path) == [FileState.UNOFFICIAL]


def test_other_bytes_are_unofficial_with_both_digests(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"a copy")
    (verdict,) = verify(Letters(PLAIN), tmp_path)
    assert str(verdict) == (
        f"unofficial   {tmp_path}/a.bin: expected {md5(CONTENT)} or {sha256(CONTENT)}, "
        f"got {md5(b'a copy')}, {sha256(b'a copy')}"
    )
    assert remarks([verdict]) == (
        Remark("unofficial data", "`a.bin` differs from the official digest"),
    )


def test_what_nobody_published_a_digest_of_is_marked_too(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "table.csv").write_bytes(b"")
    for name in "abc":
        (tmp_path / f"{name}.bin").write_bytes(b"a copy")
    files = [DataFile("images"), DataFile("table.csv")]
    files += [DataFile(f"{name}.bin", (md5(CONTENT),)) for name in "abc"]
    assert remarks(verify(Letters(*files), tmp_path)) == (
        Remark(
            "unofficial data",
            "`a.bin` and 2 more differ from the official digest; "
            "no official digest is published for `images` and 1 more",
        ),
    )


def test_official_files_and_missing_ones_get_no_remark(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    verdicts = verify(Letters(PLAIN, DataFile("b.bin", (md5(b""),))), tmp_path)
    assert [verdict.state for verdict in verdicts] == [FileState.OFFICIAL, FileState.MISSING]
    assert remarks(verdicts) == ()


def test_what_was_made_here_is_left_to_the_data_set_to_remark_on(tmp_path: Path) -> None:
    (tmp_path / "made.bin").write_bytes(b"")
    file = DataFile("a.bin", (md5(b""),), alternatives=(DataFile("made.bin", made=True),))
    verdicts = verify(Letters(file), tmp_path)
    assert [verdict.state for verdict in verdicts] == [FileState.MADE]
    assert remarks(verdicts) == ()


def test_a_folder_in_the_place_of_a_file_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    (verdict,) = verify(Letters(PLAIN), tmp_path)
    assert verdict.state is FileState.MISSING
    assert "expected a file, got a folder" in str(verdict)


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    listener = Listener()

    def state() -> FileState:
        (verdict,) = verify(Letters(PLAIN), tmp_path, listener)
        return verdict.state

    assert [state(), state()] == [FileState.OFFICIAL, FileState.OFFICIAL]
    assert listener.heard == ["checking a.bin"]
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(0, 1))  # clocks of file systems tick slowly
    assert state() == FileState.UNOFFICIAL
    path.write_bytes(CONTENT)
    os.utime(path, ns=(0, 2))
    assert state() == FileState.OFFICIAL


def test_a_change_that_left_no_trace_is_seen_when_asked_to_recheck(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    before = path.stat()
    assert _states(PLAIN, root=tmp_path) == [FileState.OFFICIAL]
    path.write_bytes(CONTENT[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert _states(PLAIN, root=tmp_path) == [FileState.OFFICIAL]
    (verdict,) = verify(Letters(PLAIN), tmp_path, recheck=True)
    assert verdict.state is FileState.UNOFFICIAL
    assert _states(PLAIN, root=tmp_path) == [FileState.UNOFFICIAL]


def test_a_damaged_memory_changes_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert _states(PLAIN, root=tmp_path) == [FileState.OFFICIAL]
    (memory,) = cache_folder(tmp_path).iterdir()
    memory.write_bytes(memory.read_bytes()[: memory.stat().st_size // 2])
    assert _states(PLAIN, root=tmp_path) == [FileState.OFFICIAL]


def test_what_was_unpacked_from_an_official_archive_is_official_until_it_changes(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "images"
    (folder / "n1").mkdir(parents=True)
    (folder / "n1" / "1.png").write_bytes(b"one")
    (tmp_path / "table.csv").write_bytes(b"n1")
    files = (DataFile("images"), DataFile("table.csv"))
    assert _states(*files, root=tmp_path) == [FileState.UNPUBLISHED] * 2
    for file in files:
        remember_official(tmp_path, tmp_path / file.path)
    assert _states(*files, root=tmp_path) == [FileState.OFFICIAL] * 2
    assert remarks(verify(Letters(*files), tmp_path, recheck=True)) == ()
    (folder / "n1" / "2.png").write_bytes(b"two")
    (tmp_path / "table.csv").write_bytes(b"n1,n2")
    assert _states(*files, root=tmp_path) == [FileState.UNOFFICIAL] * 2


@pytest.mark.parametrize("digest", ["", "md5:", f"md5:{'0' * 31}", f"sha1:{'0' * 40}", "md5:xyz"])
def test_a_digest_that_means_nothing_is_the_authors_mistake(digest: str) -> None:
    with pytest.raises(PluginError, match=f"declares the digest `{digest}`"):
        algorithm_of(digest)


@given(content=st.binary(max_size=3_000))
def test_digests_are_those_of_the_whole_file(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("digests") / "file"
    path.write_bytes(content)
    assert digest_of(path, "md5") == md5(content)
    assert digest_of(path, "sha256") == sha256(content)
    path.write_bytes(gzip.compress(content))
    assert digest_of(path, "gzip+sha256") == f"gzip+{sha256(content)}"
