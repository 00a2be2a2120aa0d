"""Archives are unpacked whole or not at all, inside their folder, over nothing that is there."""

from __future__ import annotations

import errno
import gzip
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.data.files import Unpacking
from initbench.data.folder.archive import ArchiveError, Limits, unpack
from tests.data.archives import PACKERS, Files, header, tar, tar_gz, zipped
from tests.data.letters import contents

FILES = {"set/a.bin": b"a" * 5_000, "set/deep/b.bin": b"b", "set/empty": b"", "readme": b"read"}
EARLIER = {"set/mine.txt": b"notes", "other/x": b"x"}


def _lay(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _kind(packer: str) -> Unpacking:
    return "zip" if packer == "zip" else "tar"


def _archive(folder: Path, data: bytes) -> Path:
    path = folder / "archive"
    path.write_bytes(data)
    return path


def _refused(tmp_path: Path, kind: Unpacking, data: bytes, limits: Limits | None = None) -> str:
    """Return why an archive is refused, after seeing that nothing was changed anywhere."""
    into = tmp_path / "above" / "into"
    _lay(into, EARLIER)
    archive = _archive(tmp_path, data)
    with pytest.raises(ArchiveError) as caught:
        unpack(archive, kind, into, limits=limits)
    assert contents(tmp_path / "above") == {f"into/{name}": x for name, x in EARLIER.items()}
    assert sorted(path.name for path in into.iterdir()) == ["other", "set"]
    assert archive.read_bytes() == data
    return str(caught.value)


@pytest.mark.parametrize("packer", PACKERS)
def test_every_file_arrives_and_new_folders_are_told(tmp_path: Path, packer: str) -> None:
    into = tmp_path / "new" / "into"
    new = unpack(_archive(tmp_path, PACKERS[packer](FILES)), _kind(packer), into)
    assert contents(into) == FILES
    assert new == [into / "readme", into / "set"]
    assert sorted(path.name for path in into.iterdir()) == ["readme", "set"]


def test_a_gzip_file_loses_its_ending(tmp_path: Path) -> None:
    archive = tmp_path / "x.h5.gz"
    archive.write_bytes(gzip.compress(b"content"))
    assert unpack(archive, "gzip", tmp_path / "into") == [tmp_path / "into" / "x.h5"]
    assert contents(tmp_path / "into") == {"x.h5": b"content"}


def test_folders_of_an_archive_are_made_even_if_they_are_empty(tmp_path: Path) -> None:
    archive = _archive(tmp_path, tar({"./a": b"a"}, "w", header("./empty", tarfile.DIRTYPE)))
    unpack(archive, "tar", tmp_path / "into")
    assert (tmp_path / "into" / "empty").is_dir()
    assert contents(tmp_path / "into") == {"a": b"a"}


@pytest.mark.parametrize("packer", PACKERS)
def test_a_folder_that_is_there_is_completed(tmp_path: Path, packer: str) -> None:
    into = tmp_path / "into"
    _lay(into, {**EARLIER, "set/a.bin": FILES["set/a.bin"]})
    stamp = (into / "set/a.bin").stat().st_mtime_ns
    new = unpack(_archive(tmp_path, PACKERS[packer](FILES)), _kind(packer), into)
    assert contents(into) == {**EARLIER, **FILES}
    assert new == [into / "readme", into / "set/deep", into / "set/empty"]
    assert (into / "set/a.bin").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("packer", PACKERS)
def test_a_file_with_other_content_is_not_replaced(tmp_path: Path, packer: str) -> None:
    data = PACKERS[packer]({"a": b"new", "set/mine.txt": b"others", "z": b"new"})
    assert "already there with another content" in _refused(tmp_path, _kind(packer), data)


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("name", ["set", "set/mine.txt/x"])
def test_files_and_folders_do_not_replace_each_other(
    tmp_path: Path, packer: str, name: str
) -> None:
    data = PACKERS[packer]({name: b"x"})
    assert "already there with another content" in _refused(tmp_path, _kind(packer), data)


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize(
    "name",
    [
        "../escaped",
        "a/../../escaped",
        "/escaped",
        "..",
        "..\\escaped",
        "a\nb",
        ".initbench/digests.json",
        ".unpack-archive/x",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, packer: str, name: str) -> None:
    data = PACKERS[packer]({"set/good": b"good", name: b"bad"})
    assert "leads out of its folder" in _refused(tmp_path, _kind(packer), data)


@pytest.mark.parametrize(
    "entry",
    [
        header("link", tarfile.SYMTYPE, "/etc/passwd"),
        header("link", tarfile.SYMTYPE, "../.."),
        header("link", tarfile.SYMTYPE, "set/good"),
        header("link", tarfile.LNKTYPE, "set/good"),
        header("device", tarfile.CHRTYPE),
        header("pipe", tarfile.FIFOTYPE),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, entry: tarfile.TarInfo) -> None:
    data = tar({"set/good": b"good"}, "w", entry)
    assert f"`{entry.name}` is a link or device" in _refused(tmp_path, "tar", data)


def test_writing_through_a_link_of_the_archive_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(header("out", tarfile.SYMTYPE, ".."))
        archive.addfile(header("out/escaped", tarfile.REGTYPE))
    assert "`out` is a link" in _refused(tmp_path, "tar", buffer.getvalue())


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    data = zipped({"set/good": b"good", "link": b"/etc/passwd"}, link="link")
    assert "`link` is a link or device" in _refused(tmp_path, "zip", data)


@pytest.mark.parametrize("packer", ["tar", "zip"])
def test_what_is_in_it_twice_is_refused(tmp_path: Path, packer: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of a duplicate, as it should
        data = PACKERS[packer](_Twice({"a": b"one", "b": b"two"}))
    assert "`a` is in it twice" in _refused(tmp_path, _kind(packer), data)


class _Twice(dict[str, bytes]):
    """Yields its first file again at the end."""

    def items(self):  # type: ignore[no-untyped-def,override]
        return [*super().items(), next(iter(super().items()))]


def test_a_file_that_is_a_folder_later_is_refused(tmp_path: Path) -> None:
    assert "twice" in _refused(tmp_path, "tar", tar({"a": b"file", "a/b": b"inside"}))


@pytest.mark.parametrize("packer", PACKERS)
def test_a_bomb_is_refused_by_what_comes_out_of_it(tmp_path: Path, packer: str) -> None:
    data = PACKERS[packer]({"zeros": bytes(3_000_000)})
    limits = Limits(total_bytes=2_000_000)
    assert "more than 2,000,000 bytes" in _refused(tmp_path, _kind(packer), data, limits)


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    message = _refused(tmp_path, "gzip", gzip.compress(bytes(3_000_000)), Limits(2_000_000))
    assert "more than 2,000,000 bytes" in message


def test_small_archives_may_hold_much_but_not_without_end(tmp_path: Path) -> None:
    archive = _archive(tmp_path, bytes(100))
    assert Limits.of(archive).total_bytes == 1 << 30
    os.truncate(archive, 1 << 30)
    assert Limits.of(archive).total_bytes == 20 << 30


@pytest.mark.parametrize("packer", PACKERS)
def test_too_many_files_are_refused(tmp_path: Path, packer: str) -> None:
    data = PACKERS[packer]({f"{i}": b"" for i in range(11)})
    limits = Limits(total_bytes=100, members=10)
    assert "more than 10 files" in _refused(tmp_path, _kind(packer), data, limits)


def test_a_header_cannot_ask_for_much_memory(tmp_path: Path) -> None:
    entry = header("././@PaxHeader", tarfile.XHDTYPE, size=8 << 30)
    data = entry.tobuf(tarfile.GNU_FORMAT) + bytes(100_000)
    assert "a header claims to have 8,589,934,592 bytes" in _refused(tmp_path, "tar", data)


def test_a_header_with_a_negative_size_is_refused(tmp_path: Path) -> None:
    entry = header("a", tarfile.REGTYPE, size=-1024)
    data = entry.tobuf(tarfile.GNU_FORMAT) + bytes(100_000)
    assert "was not unpacked" in _refused(tmp_path, "tar", data)


@pytest.mark.parametrize("packer", PACKERS)
def test_a_truncated_archive_is_refused_wherever_it_ends(tmp_path: Path, packer: str) -> None:
    data = PACKERS[packer]({f"set/{i}": os.urandom(700) for i in range(4)})
    # A tar ends with empty blocks, of which one is enough; before it, each file takes three.
    end = (4 * 3 + 1) * tarfile.BLOCKSIZE if packer == "tar" else len(data)
    for length in range(0, end, 193):
        _refused(tmp_path, _kind(packer), data[:length])


def test_a_tar_that_ends_between_two_files_is_refused(tmp_path: Path) -> None:
    whole = tar({"a": bytes(512), "b": bytes(512)})
    assert "its end is missing" in _refused(tmp_path, "tar", whole[:1024])


def test_a_gzip_file_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    data = bytearray(tar_gz(FILES))
    data[-8] ^= 1
    assert "it is damaged" in _refused(tmp_path, "tar", bytes(data))


@pytest.mark.parametrize("kind", ["tar", "zip", "gzip"])
def test_a_web_page_is_named(tmp_path: Path, kind: Unpacking) -> None:
    page = b"\r\n <!DOCTYPE HTML><title>Please log in</title>" + b" " * 2_000
    assert "it is a web page" in _refused(tmp_path, kind, page)


@pytest.mark.parametrize("packer", PACKERS)
def test_an_archive_of_nothing_is_refused(tmp_path: Path, packer: str) -> None:
    assert "it is empty" in _refused(tmp_path, _kind(packer), PACKERS[packer]({}))


def test_a_full_disk_leaves_nothing_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "sync", full)  # the last step that needs space
    message = _refused(tmp_path, "tar", tar(FILES))
    assert "No space left on device; nothing of it was kept: free some space" in message


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "into").write_bytes(b"a file")
    with pytest.raises(ArchiveError, match="cannot unpack"):
        unpack(_archive(tmp_path, tar(FILES)), "tar", tmp_path / "into")
    assert (tmp_path / "into").read_bytes() == b"a file"


@given(
    packer=st.sampled_from(sorted(PACKERS)),
    place=st.floats(0, 1, exclude_max=True),
    change=st.binary(min_size=1, max_size=40),
)
def test_damage_gives_an_error_or_files_inside_the_folder(
    tmp_path_factory: pytest.TempPathFactory, packer: str, place: float, change: bytes
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    data = bytearray(PACKERS[packer](FILES))
    start = int(place * len(data))
    data[start : start + len(change)] = change
    archive, into = _archive(outside, bytes(data)), outside / "into"
    _lay(into, EARLIER)
    try:
        unpack(archive, _kind(packer), into)
    except ArchiveError:
        assert contents(into) == EARLIER
    for name, content in EARLIER.items():
        assert (into / name).read_bytes() == content
    assert sorted(path.name for path in outside.iterdir()) == ["archive", "into"]
    assert not list(into.glob(".unpack-*"))


_SLOWLY = """
import sys, time
from pathlib import Path
from initbench.data.folder.archive import unpack
unpack(Path(sys.argv[1]), "tar", Path(sys.argv[2]), lambda *_: time.sleep(0.02))
"""


def test_what_a_kill_leaves_is_no_half_file_and_is_cleared_away(tmp_path: Path) -> None:
    files = {f"set/{i}": os.urandom(600) for i in range(500)}
    archive, into = _archive(tmp_path, tar(files)), tmp_path / "into"
    process = subprocess.Popen([sys.executable, "-c", _SLOWLY, str(archive), str(into)])
    try:
        deadline = time.monotonic() + 30
        while len(list(into.rglob("[0-9]*"))) < 5:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [path.name for path in into.iterdir()] == [".unpack-archive"]
    unpack(archive, "tar", into)
    assert contents(into) == files
    assert [path.name for path in into.iterdir()] == ["set"]
