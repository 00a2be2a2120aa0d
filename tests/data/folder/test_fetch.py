"""A fetched file is the official one or not there at all, whatever servers, disks and kills do."""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from initbench.data.files import DataFile, Download
from initbench.data.folder import transfer
from initbench.data.folder.fetch import fetch
from initbench.data.folder.verify import FileState, verify
from initbench.errors import PluginError, UserError
from tests.data.archives import tar_gz, zipped
from tests.data.letters import Letters, contents, md5, sha256
from tests.data.served import Served, Server, running

CONTENT = os.urandom(300_000)
FILE = DataFile("raw/a.bin", (md5(CONTENT),), len(CONTENT))
LOGIN = b"\n<!DOCTYPE html><html><body>Please log in.</body></html>"


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(one_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("SSL_CERT_FILE", str(one_server.certificate))
    monkeypatch.setenv("no_proxy", "*")
    one_server.served.clear()
    one_server.requests.clear()
    return one_server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def _letters(*urls: str, size: int | None = len(CONTENT)) -> Letters:
    return Letters(FILE, downloads=(Download(urls, FILE.path, md5(CONTENT), size),))


def _begun(root: Path, content: bytes) -> Path:
    part = root / "raw" / "a.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def _failure(dataset: Letters, root: Path) -> str:
    with pytest.raises(UserError) as caught:
        fetch(dataset, root)
    assert not (root / FILE.path).exists()
    return str(caught.value)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("says_length", [True, False])
@pytest.mark.parametrize("size", [len(CONTENT), None])
def test_a_file_is_fetched_once(
    server: Server, root: Path, ranges: bool, says_length: bool, size: int | None
) -> None:
    url = server.serve("a.bin", Served(CONTENT, ranges=ranges, says_length=says_length))
    assert fetch(_letters(url, size=size), root) == [root / FILE.path]
    assert contents(root) == {FILE.path: CONTENT}
    assert fetch(_letters(url, size=size), root) == []
    assert server.requests == [("a.bin", None)]


def test_progress_is_told_in_bytes(server: Server, root: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    url = server.serve("a.bin", CONTENT)
    fetch(_letters(url), root, lambda *told: heard.append(told))
    fetching = [told for told in heard if told[0] == "fetching a.bin"]
    assert fetching == sorted(fetching)
    assert fetching[-1] == ("fetching a.bin", len(CONTENT), len(CONTENT))


def test_files_go_into_the_folder_of_the_configuration(server: Server, root: Path) -> None:
    download = Download((server.serve("a", CONTENT),), FILE.path, md5(CONTENT))
    fetch(Letters(FILE, downloads=(download,), folder="mine"), root)
    assert contents(root) == {f"mine/{FILE.path}": CONTENT}


def test_mirrors_are_tried_in_order(server: Server, root: Path) -> None:
    urls = [
        server.serve("gone", Served(b"", status=404)),
        server.serve("other", bytes(len(CONTENT))),
        server.serve("good", CONTENT),
        server.serve("never asked", CONTENT),
    ]
    fetch(_letters(*urls), root)
    assert [path for path, _ in server.requests] == ["gone", "other", "good"]
    assert contents(root) == {FILE.path: CONTENT}


def test_what_was_begun_is_continued(server: Server, root: Path) -> None:
    _begun(root, CONTENT[:100_000])
    fetch(_letters(server.serve("a.bin", CONTENT)), root)
    assert server.requests == [("a.bin", "bytes=100000-")]
    assert contents(root) == {FILE.path: CONTENT}


def test_a_server_that_knows_no_ranges_begins_anew(server: Server, root: Path) -> None:
    _begun(root, CONTENT[:100_000])
    fetch(_letters(server.serve("a.bin", Served(CONTENT, ranges=False))), root)
    assert len(server.requests) == 1
    assert contents(root) == {FILE.path: CONTENT}


@pytest.mark.parametrize("size", [len(CONTENT), None])
@pytest.mark.parametrize("begun", [100_000, len(CONTENT), len(CONTENT) + 5])
def test_a_beginning_of_another_file_is_thrown_away(
    server: Server, root: Path, size: int | None, begun: int
) -> None:
    _begun(root, bytes(begun))
    fetch(_letters(server.serve("a.bin", CONTENT), size=size), root)
    assert contents(root) == {FILE.path: CONTENT}
    assert server.requests[-1] == ("a.bin", None)


def test_all_that_was_missing_was_the_name(server: Server, root: Path) -> None:
    _begun(root, CONTENT)
    fetch(_letters(server.serve("a.bin", CONTENT)), root)
    assert server.requests == []
    assert contents(root) == {FILE.path: CONTENT}


def test_a_transfer_that_is_cut_off_goes_on(server: Server, root: Path) -> None:
    url = server.serve("a.bin", Served(CONTENT, cuts=[70_000, 0, 50_000]))
    with contextlib.suppress(UserError):  # the second answer brought nothing
        fetch(_letters(url), root)
    fetch(_letters(url), root)
    assert [asked for _, asked in server.requests] == [
        None,
        "bytes=70000-",
        "bytes=70000-",
        "bytes=120000-",
    ]
    assert contents(root) == {FILE.path: CONTENT}


def test_a_transfer_that_comes_no_further_ends(server: Server, root: Path) -> None:
    url = server.serve("a.bin", Served(CONTENT, ranges=False, cuts=[70_000] * 99))
    assert "the transfer was cut off after 70,000 bytes" in _failure(_letters(url), root)
    assert len(server.requests) == 2
    assert contents(root) == {f"{FILE.path}.part": CONTENT[:70_000]}


def test_a_cut_without_a_length_is_seen_by_the_digest(server: Server, root: Path) -> None:
    url = server.serve("a.bin", Served(CONTENT, says_length=False, cuts=[70_000]))
    message = _failure(_letters(url, size=None), root)
    assert f"another file came: expected {md5(CONTENT)}, got {md5(CONTENT[:70_000])}" in message
    assert contents(root) == {}


def test_a_slow_server_is_given_up(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_TIMEOUT_SECONDS", 0.2)
    url = server.serve("a.bin", Served(CONTENT, seconds_a_piece=1.0, piece=1_000))
    assert "cut off after" in _failure(_letters(url), root)


def test_other_bytes_than_asked_for_are_not_appended(server: Server, root: Path) -> None:
    part = _begun(root, CONTENT[:100_000])
    url = server.serve("a.bin", Served(CONTENT, wrong_range=True))
    assert "asked for the bytes from 100,000 on, but sent others" in _failure(_letters(url), root)
    assert part.read_bytes() == CONTENT[:100_000]


def test_another_file_is_refused_and_not_kept(server: Server, root: Path) -> None:
    url = server.serve("a.bin", CONTENT[::-1])
    message = _failure(_letters(url), root)
    assert f"another file came: expected {md5(CONTENT)}, got {md5(CONTENT[::-1])}" in message
    assert contents(root) == {}
    assert len(server.requests) == 1


def test_a_file_of_another_size_is_refused_before_it_comes(server: Server, root: Path) -> None:
    part = _begun(root, CONTENT[:100_000])
    url = server.serve("a.bin", CONTENT + b"more")
    message = _failure(_letters(url), root)
    assert "expected a file of 300,000 bytes, got one of 300,004" in message
    assert part.read_bytes() == CONTENT[:100_000]


def test_a_longer_file_without_a_length_is_stopped(server: Server, root: Path) -> None:
    url = server.serve("a.bin", Served(CONTENT * 4, says_length=False))
    assert "expected a file of 300,000 bytes, got a longer one" in _failure(_letters(url), root)
    assert contents(root) == {}


@pytest.mark.parametrize("says_length", [True, False])
def test_a_web_page_is_named_and_costs_nothing(
    server: Server, root: Path, says_length: bool
) -> None:
    part = _begun(root, CONTENT[:100_000])
    page = Served(LOGIN, ranges=False, says_length=says_length)
    url = server.serve("a.bin", page)
    message = _failure(_letters(url, size=None), root)
    assert "a web page came instead of the file" in message
    assert part.read_bytes() == CONTENT[:100_000]


@pytest.mark.parametrize("location", ["http://localhost/a.bin", "ftp://localhost/a.bin", "file:/a"])
def test_a_redirect_that_leaves_https_is_refused(server: Server, root: Path, location: str) -> None:
    url = server.serve("a.bin", Served(location=location))
    message = _failure(_letters(url), root)
    assert f"the address `{location}` is not https" in message or "not allowed" in message
    assert len(server.requests) == 1


def test_a_redirect_within_https_is_followed(server: Server, root: Path) -> None:
    _begun(root, CONTENT[:100_000])
    url = server.serve("a.bin", Served(location=server.serve("moved/a.bin", CONTENT)))
    fetch(_letters(url), root)
    assert server.requests[-1] == ("moved/a.bin", "bytes=100000-")
    assert contents(root) == {FILE.path: CONTENT}


def test_an_address_that_is_not_https_is_not_asked(server: Server, root: Path) -> None:
    url = server.serve("a.bin", CONTENT).replace("https:", "http:")
    assert f"the address `{url}` is not https" in _failure(_letters(url), root)
    assert server.requests == []


def test_a_server_that_nobody_vouches_for_is_refused(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    message = _failure(_letters(server.serve("a.bin", CONTENT)), root)
    assert "its certificate is not trusted" in message


def test_without_network_all_files_are_named_with_address_and_place(root: Path) -> None:
    urls = ("https://localhost:9/a.bin", "https://localhost:9/mirror/a.bin")
    here = Download(urls, "raw/a.bin", md5(CONTENT), 300_000)
    packed = Download(("https://localhost:9/b.tgz",), "b.tgz", sha256(b""), unpack="tar")
    with pytest.raises(UserError) as caught:
        fetch(Letters(FILE, DataFile("b/1"), downloads=(here, packed), folder="x y"), root)
    assert str(caught.value) == (
        "data set `letters` cannot be downloaded: "
        "https://localhost:9/a.bin: Connection refused; "
        "https://localhost:9/mirror/a.bin: Connection refused\n"
        "try again later, or put these files there by hand and run "
        "`initbench data fetch letters --set 'folder=x y'` to have them checked:\n"
        f"  https://localhost:9/a.bin (300,000 bytes, {md5(CONTENT)})\n"
        f"    to {root}/x y/raw/a.bin\n"
        f"  https://localhost:9/b.tgz ({sha256(b'')})\n"
        f"    to {root}/x y/b.tgz"
    )
    assert contents(root) == {}


def test_where_there_is_no_download_the_places_are_named(root: Path) -> None:
    with pytest.raises(UserError) as caught:
        fetch(Letters(FILE), root)
    assert str(caught.value) == (
        f"data set `letters`: 1 of its 1 files not found:\n  {root}/raw/a.bin\nask the postman"
    )
    assert fetch(Letters(), root) == []
    assert not root.exists()


def test_a_file_that_no_download_provides_is_asked_for(server: Server, root: Path) -> None:
    dataset = _letters(server.serve("a.bin", CONTENT))
    dataset._files += (DataFile("by/hand.bin"),)
    with pytest.raises(UserError, match=r"1 of its 2 files not found:\n  .*by/hand\.bin\nask the"):
        fetch(dataset, root)
    assert contents(root) == {FILE.path: CONTENT}


def test_another_file_in_its_place_is_left_alone(server: Server, root: Path) -> None:
    (root / "raw").mkdir(parents=True)
    (root / FILE.path).write_bytes(b"my copy")
    with pytest.raises(UserError, match=r"is there, but is not the official file .*: move it away"):
        fetch(_letters(server.serve("a.bin", CONTENT)), root)
    assert contents(root) == {FILE.path: b"my copy"}
    assert server.requests == []


def test_a_folder_in_its_place_is_named(server: Server, root: Path) -> None:
    (root / FILE.path).mkdir(parents=True)
    with pytest.raises(UserError, match="expected a file, got a folder"):
        fetch(_letters(server.serve("a.bin", CONTENT)), root)
    assert server.requests == []


def test_a_disk_that_is_too_small_is_seen_before(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 250_000))
    message = _failure(_letters(server.serve("a.bin", CONTENT)), root)
    assert "300,000 bytes are needed, 250,000 are free; free some space" in message
    assert server.requests == []
    _begun(root / "begun", CONTENT[:100_000])
    fetch(_letters(server.serve("a.bin", CONTENT)), root / "begun")


def test_a_disk_that_fills_up_is_named(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    message = _failure(_letters(server.serve("a.bin", CONTENT)), root)
    assert "No space left on device; free some space" in message


def test_a_folder_that_cannot_be_made_is_named(server: Server, root: Path) -> None:
    root.mkdir()
    (root / "raw").write_bytes(b"a file")
    message = _failure(_letters(server.serve("a.bin", CONTENT)), root)
    assert "cannot write" in message
    assert contents(root) == {"raw": b"a file"}


def test_a_link_in_the_place_of_the_part_is_not_followed(server: Server, root: Path) -> None:
    part = _begun(root, b"")
    part.unlink()
    part.symlink_to(root / "elsewhere")
    assert "cannot write" in _failure(_letters(server.serve("a.bin", CONTENT)), root)
    assert not (root / "elsewhere").exists()


def test_a_target_outside_of_the_data_folder_is_the_authors_mistake(root: Path) -> None:
    download = Download(("https://localhost:9/x",), "../x", md5(CONTENT))
    with pytest.raises(PluginError, match="not inside the data folder"):
        fetch(Letters(FILE, downloads=(download,)), root)


INSIDE = {"set/1.bin": b"one", "set/2.bin": b"two", "set/readme": b"read me"}
ONE = DataFile("set/1.bin", (md5(b"one"),))


def _archived(url: str, data: bytes, *files: DataFile) -> Letters:
    kind: str = "zip" if data.startswith(b"PK") else "tar"
    download = Download((url,), "archive", md5(data), unpack=kind)  # type: ignore[arg-type]
    return Letters(*files, downloads=(download,))


@pytest.mark.parametrize("data", [tar_gz(INSIDE), zipped(INSIDE)], ids=["tar", "zip"])
@pytest.mark.parametrize("file", [ONE, DataFile("set")], ids=["file", "folder"])
def test_an_archive_is_unpacked_once_and_not_kept(
    server: Server, root: Path, data: bytes, file: DataFile
) -> None:
    dataset = _archived(server.serve("archive", data), data, file)
    assert fetch(dataset, root) == [root / "set"]
    assert contents(root) == INSIDE
    assert [verdict.state for verdict in verify(dataset, root)] == [FileState.OFFICIAL]
    assert fetch(dataset, root) == []
    assert len(server.requests) == 1


def test_a_gzip_file_is_unpacked_to_the_declared_file(server: Server, root: Path) -> None:
    data = gzip.compress(b"content")
    url = server.serve("x.h5.gz", data)
    download = Download((url,), "raw/x.h5.gz", md5(data), unpack="gzip", into="raw")
    dataset = Letters(DataFile("raw/x.h5"), downloads=(download,))
    assert fetch(dataset, root) == [root / "raw/x.h5"]
    assert contents(root) == {"raw/x.h5": b"content"}
    assert [verdict.state for verdict in verify(dataset, root)] == [FileState.OFFICIAL]


def test_an_archive_that_was_put_there_by_hand_is_unpacked_and_kept(root: Path) -> None:
    data = tar_gz(INSIDE)
    root.mkdir()
    (root / "archive").write_bytes(data)
    fetch(_archived("https://localhost:9/archive", data, ONE), root)
    assert contents(root) == {**INSIDE, "archive": data}


def test_another_archive_that_was_put_there_is_refused(root: Path) -> None:
    root.mkdir()
    (root / "archive").write_bytes(LOGIN)
    dataset = _archived("https://localhost:9/archive", tar_gz(INSIDE), ONE)
    with pytest.raises(UserError, match=r"archive` is there, but is not the official file"):
        fetch(dataset, root)
    assert contents(root) == {"archive": LOGIN}


def test_files_beside_the_unpacked_ones_stay(server: Server, root: Path) -> None:
    data = tar_gz(INSIDE)
    dataset = _archived(server.serve("archive", data), data, ONE)
    (root / "set").mkdir(parents=True)
    (root / "set/mine").write_bytes(b"mine")
    fetch(dataset, root)
    assert contents(root) == {**INSIDE, "set/mine": b"mine"}
    (root / "set/1.bin").unlink()
    (root / "set/readme").write_bytes(b"my notes")
    before = contents(root)
    with pytest.raises(UserError, match="already there with another content"):
        fetch(dataset, root)
    assert contents(root) == {**before, "archive": data}


def test_of_several_archives_only_those_that_are_needed_are_fetched(
    server: Server, root: Path
) -> None:
    clean, noisy = tar_gz({"clean/1": b"1"}), tar_gz({"noisy/1": b"2"})
    dataset = Letters(
        DataFile("clean/1", (md5(b"1"),)),
        DataFile("noisy/1", (md5(b"2"),), alternatives=(DataFile("made/1", made=True),)),
        downloads=(
            Download((server.serve("clean", clean),), "clean.tar", md5(clean), unpack="tar"),
            Download(
                (server.serve("noisy", noisy),),
                "noisy.tar",
                md5(noisy),
                unpack="tar",
                provides=("noisy",),
            ),
        ),
    )
    for folder in ("clean", "made"):
        (root / folder).mkdir(parents=True)
        (root / folder / "1").write_bytes(b"1")
    assert fetch(dataset, root) == [root / "noisy"]
    assert [path for path, _ in server.requests] == ["noisy"]
    shutil.rmtree(root / "clean")
    assert fetch(dataset, root) == [root / "clean"]
    assert [path for path, _ in server.requests] == ["noisy", "clean"]


def test_two_at_once_fetch_it_once(server: Server, root: Path) -> None:
    data = tar_gz({**INSIDE, "set/large": CONTENT})
    url = server.serve("archive", Served(data, seconds_a_piece=0.05, piece=50_000))
    heard: list[str] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            fetch(_archived(url, data, ONE), root, lambda what, *_: heard.append(what))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(server.requests) == 1
    assert "waiting for another process that fetches archive" in heard
    assert contents(root) == {**INSIDE, "set/large": CONTENT}


_FETCH = """
import sys
from pathlib import Path
from initbench.data.folder.fetch import fetch
from tests.data.folder.test_fetch import letters_of
fetch(letters_of(sys.argv[1], sys.argv[2]), Path(sys.argv[3]))
"""


def letters_of(url: str, digest: str) -> Letters:
    """Return the data set that the killed process below fetches."""
    return Letters(
        replace(FILE, digests=(digest,)),
        downloads=(Download((url,), FILE.path, digest, len(CONTENT)),),
    )


def test_a_killed_fetch_leaves_no_half_file_and_goes_on(server: Server, root: Path) -> None:
    slow = Served(CONTENT, seconds_a_piece=0.05, piece=20_000)
    url = server.serve("a.bin", slow)
    arguments = [sys.executable, "-c", _FETCH, url, md5(CONTENT), str(root)]
    process = subprocess.Popen(arguments, cwd=Path(__file__).parents[3])
    part = root / "raw" / "a.bin.part"
    try:
        deadline = time.monotonic() + 60
        while not part.exists() or part.stat().st_size < 50_000:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (came,) = contents(root).values()
    assert CONTENT.startswith(came)
    assert contents(root).keys() == {f"{FILE.path}.part"}
    slow.seconds_a_piece = 0.0
    fetch(letters_of(url, md5(CONTENT)), root)
    assert server.requests == [("a.bin", None), ("a.bin", f"bytes={len(came)}-")]
    assert contents(root) == {FILE.path: CONTENT}
