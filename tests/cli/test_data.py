"""`initbench data`: what is listed, where files are expected, and what is verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from initbench.cli import run_command
from tests.data.official_zoo import digits, pixels, write_mnist

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("INITBENCH_DATA", str(folder))
    return folder


def write_unofficial_mnist(root: Path) -> None:
    """MNIST's format and counts, with nothing to be seen but one corner."""
    for stem, count in (("train", 60_000), ("t10k", 10_000)):
        images = np.zeros((count, 28, 28), dtype=np.uint8)
        images[:, :2, :2] = pixels(count, 2, 2)
        write_mnist(root, stem, images, digits(count), form="{}-{}")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code, its output and what it said on the way."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run_command(["data", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_the_list_says_what_is_here(root: Path, run: Run) -> None:
    write_unofficial_mnist(root)
    code, out, err = run("list")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "none needed" in rows["digits"]
    assert "2 of 2 missing" in rows["usps"]
    assert " here " in rows["mnist"]
    assert "50,000 / 10,000 / 10,000" in rows["mnist"]
    assert "45,000 / 5,000 / 10,000" in rows["cifar10"]
    assert str(root) in out


def test_without_a_data_folder_the_list_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INITBENCH_DATA", raising=False)
    code, out, _ = run("list")
    assert code == 0
    assert "data folder: none; set INITBENCH_DATA" in out


def test_every_expected_path_is_shown(root: Path, run: Run) -> None:
    code, out, _ = run("where", "mnist")
    assert code == 0
    assert f"missing  {root}/MNIST/raw/train-images-idx3-ubyte" in out
    assert "`initbench data fetch mnist`" in out


def test_the_places_of_all_data_sets_are_shown(root: Path, run: Run) -> None:
    code, out, _ = run("where")
    assert code == 0
    for name in ("cifar10", "digits", "imagenet", "pcam", "svhn"):
        assert f"\n{name}\n" in out


def test_a_setting_changes_the_place(root: Path, run: Run) -> None:
    code, out, _ = run("where", "mnist", "--set", "folder=copies")
    assert code == 0
    assert f"{root}/copies/MNIST/raw/" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["where", "--set", "a=1"], "`--set` configures one data set"),
        (["where", "mnist", "--set", "folder"], "--set folder: expected KEY=VALUE"),
        (["where", "mnist", "--set", "folder=../x"], "`copies/mine`, got `../x`"),
        (["where", "mnist", "--set", "colour=red"], "colour"),
        (["verify", "minst"], "did you mean `mnist`?"),
        (["verify", "mnist"], "4 of its 4 files not found"),
        (["fetch", "imagenet"], "https://image-net.org"),
        (["show", "mnist", "-o", "x.png"], "4 of its 4 files not found"),
    ],
)
def test_a_mistake_is_one_message(root: Path, run: Run, arguments: list[str], message: str) -> None:
    code, out, err = run(*arguments)
    assert code == 2
    assert "Traceback" not in out + err
    assert err.startswith("error: ")
    assert message in err.replace("\n", " ")


@pytest.mark.parametrize("command", ["fetch", "make"])
def test_a_folder_is_needed_to_write_to(
    run: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INITBENCH_DATA", raising=False)
    code, _, err = run(command, "mnist")
    assert code == 2
    assert "set INITBENCH_DATA" in err


def test_unofficial_files_are_verified_and_marked(root: Path, run: Run) -> None:
    write_unofficial_mnist(root)
    code, out, err = run("verify", "mnist")
    assert code == 0
    assert out.count("unofficial ") == 5
    assert "splits       50,000 train / 10,000 validation / 10,000 test" in out
    assert "mark         unofficial data: " in out
    assert err.endswith("mnist: the contract is kept\n")


def test_a_damaged_file_fails_verification(root: Path, run: Run) -> None:
    write_unofficial_mnist(root)
    path = next(root.rglob("t10k-images-idx3-ubyte"))
    path.write_bytes(path.read_bytes()[:1000])
    code, _, err = run("verify", "mnist")
    assert code == 2
    assert "t10k-images-idx3-ubyte" in err


def test_a_contact_sheet_is_written(root: Path, run: Run, tmp_path: Path) -> None:
    from PIL import Image

    code, out, err = run("show", "digits", "--output", str(tmp_path / "digits.png"))
    assert (code, out) == (0, "")
    assert "digits.png" in err
    with Image.open(tmp_path / "digits.png") as sheet:
        assert sheet.width > 300
        assert len(sheet.convert("L").getcolors(10_000) or []) > 10


def test_a_sheet_that_cannot_be_written_is_one_message(root: Path, run: Run) -> None:
    code, _, err = run("show", "digits", "--output", "/proc/nothing/x.png")
    assert code == 2
    assert err.startswith("error: cannot write `/proc/nothing/x.png`")


@pytest.mark.parametrize(
    "command", [[], ["list"], ["where"], ["fetch"], ["make"], ["verify"], ["show"]]
)
def test_help_ends_with_two_examples(run: Run, command: list[str]) -> None:
    _, out, _ = run(*command, "--help")
    examples = out[out.index("Examples:") :].splitlines()[1:]
    assert len([line for line in examples if line.strip().startswith("initbench data ")]) == 2
