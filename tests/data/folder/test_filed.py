"""Files are looked for where the data set says, and whoever lacks one is told what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from initbench.data.files import DataFile, Download
from initbench.data.folder.filed import FilesConfig, command, places_of
from initbench.errors import PluginError, UserError
from initbench.plugin.configuration import configured
from tests.data.letters import Letters

GZIPPED = DataFile("raw/a.gz", size=3, alternatives=(DataFile("raw/a"), DataFile("a")))
OTHER = DataFile("b.bin")
DOWNLOAD = Download(("https://nowhere.invalid/a.gz",), "raw/a.gz", f"md5:{'0' * 32}")


def _write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"abc")
    return path


def test_of_several_forms_the_first_that_exists_is_opened(tmp_path: Path) -> None:
    dataset = Letters(GZIPPED)
    for form in ("a", "raw/a", "raw/a.gz"):
        path = _write(tmp_path / form)
        assert dataset.open_files(tmp_path) == {"raw/a.gz": path}


def test_files_are_looked_for_in_the_folder_of_the_configuration(tmp_path: Path) -> None:
    _write(tmp_path / "b.bin")
    path = _write(tmp_path / "copies/mine/b.bin")
    assert Letters(OTHER, folder="copies/mine").open_files(tmp_path) == {"b.bin": path}


def test_a_folder_can_be_declared_and_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "images").symlink_to(tmp_path / "elsewhere")
    dataset = Letters(DataFile("images"))
    assert dataset.open_files(tmp_path) == {"images": tmp_path / "images"}


@pytest.mark.parametrize("folder", ["..", "a/../b", "/data", "a\\b", "a\0b"])
def test_a_folder_outside_the_data_folder_is_refused(folder: str) -> None:
    with pytest.raises(UserError, match="expected a folder inside the data folder"):
        configured("data set `letters`", FilesConfig, {"folder": folder})


@pytest.mark.parametrize("folder", ["", ".", "./", "././"])
def test_one_folder_has_one_name(folder: str) -> None:
    assert FilesConfig(folder=folder) == FilesConfig()


def test_every_missing_file_is_named_with_its_place_and_how_to_get_it(tmp_path: Path) -> None:
    _write(tmp_path / "there.bin")
    dataset = Letters(GZIPPED, OTHER, DataFile("there.bin"), downloads=(DOWNLOAD,), folder="sub")
    _write(tmp_path / "sub/there.bin")
    with pytest.raises(UserError) as caught:
        dataset.open_files(tmp_path)
    assert str(caught.value) == (
        "data set `letters`: 2 of its 3 files not found:\n"
        f"  {tmp_path}/sub/raw/a.gz\n"
        f"  {tmp_path}/sub/b.bin\n"
        "get them with `initbench data fetch letters --set folder=sub`, or ask the postman"
    )


def test_without_a_download_nobody_is_sent_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"b\.bin\nask the postman$"):
        Letters(OTHER).open_files(tmp_path)


def test_without_a_data_folder_the_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="set INITBENCH_DATA to the folder"):
        Letters(OTHER).open_files(None)
    with pytest.raises(UserError, match=r"nowhere` is not there: correct INITBENCH_DATA"):
        Letters(OTHER).open_files(tmp_path / "nowhere")


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw/a.gz").mkdir(parents=True)
    with pytest.raises(UserError, match=r"expected a file, got a folder: `.*raw/a\.gz`; move it"):
        Letters(GZIPPED).open_files(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "b.bin")
    with pytest.raises(UserError, match="expected a file or folder, got a device or pipe"):
        Letters(OTHER).open_files(tmp_path)


def test_a_file_without_permission_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "b.bin")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the superuser may read anything
    with pytest.raises(UserError, match=r"b\.bin` cannot be read \(permission denied\)"):
        Letters(OTHER).open_files(tmp_path)


def test_places_tell_what_is_there_without_raising(tmp_path: Path) -> None:
    path = _write(tmp_path / "raw/a")
    found, missing = places_of(Letters(GZIPPED, OTHER), tmp_path)
    assert (found.found, found.form) == (path, GZIPPED.alternatives[0])
    assert found.expected == tuple(tmp_path / form for form in ("raw/a.gz", "raw/a", "a"))
    assert (missing.found, missing.form, missing.problem) == (None, None, "")
    assert missing.expected == (tmp_path / "b.bin",)


@pytest.mark.parametrize("path", ["../b.bin", "/etc/passwd", "a/../../b"])
def test_a_declared_path_cannot_leave_the_data_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(PluginError, match="not inside the data folder"):
        places_of(Letters(DataFile(path)), tmp_path)


def test_the_command_repeats_the_configuration() -> None:
    assert command("verify", Letters()) == "initbench data verify letters"
    assert command("fetch", Letters(folder="my data")) == (
        "initbench data fetch letters --set 'folder=my data'"
    )
