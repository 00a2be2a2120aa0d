"""`initbench zoo`: train, list, show, hand on, take in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from initbench.cli import run_command
from initbench.store.store import Store
from tests.zoo import worlds

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("zoo") / "results"
    assert worlds.train(folder) == 0
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture
def run(results: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code, its output and what it said on the way."""

    def command(*arguments: str, results: Path = results) -> tuple[int, str, str]:
        code = run_command(["zoo", *arguments, "--results", str(results)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_what_was_trained_is_not_trained_again_and_more_can_be_added(
    run: Run, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Store(results).keys()
    assert worlds.train(results, "--dry-run") == 0
    assert "cached 7, to do none" in capsys.readouterr().err
    assert worlds.train(results) == 0
    assert "7 done" in capsys.readouterr().err
    assert Store(results).keys() == before


def test_a_dry_run_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert worlds.train(tmp_path / "none", "--dry-run", "--first-seed", "5") == 0
    said = capsys.readouterr().err
    assert "Zoo of 7 zoo_cnn on digits" in said
    assert "seeds 5-11" in said
    assert "to do 7" in said
    assert not (tmp_path / "none").exists()


def test_networks_whose_weights_are_gone_are_trained_again(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(results, tmp_path / "copy"))
    lost = next(iter(Store(copy).records(Store(copy).keys()).values()))
    assert lost.weights is not None
    Store(copy).blob_path(lost.weights).unlink()
    assert worlds.train(copy) == 0
    assert "cached 6, to do 1" in capsys.readouterr().err
    assert Store(copy).has_blob(lost.weights), "the same bits"


def test_one_network_is_no_zoo_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert worlds.train(tmp_path / "results", "--networks", "1") == 0
    assert "a zoo has 2 networks at least" in capsys.readouterr().err


def test_networks_that_diverge_are_told_by_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--networks", "2", "--set", "recipe.optimiser.lr=3e38")
    assert worlds.train(tmp_path / "results", *options) == 3
    assert "2 diverged" in capsys.readouterr().err


def test_zoos_are_listed_and_shown(run: Run) -> None:
    code, out, _ = run("list")
    assert code == 0
    for text in ("zoo_cnn", "digits", "7 done", "0-2"):
        assert text in out
    (line,) = json.loads(run("list", "--format", "json")[1])
    code, out, _ = run("show", line["key"][:8])
    assert code == 0
    assert "5 / 1 / 1 (in the order of the seeds, 70 % training" in out
    assert "1000000-1000006" in out
    shown = json.loads(run("show", line["key"][:8], "--format", "json")[1])
    assert shown["key"] == line["key"]
    assert len(shown["members"]) == 7


def test_a_zoo_goes_from_one_results_folder_to_another(run: Run, tmp_path: Path) -> None:
    (line,) = json.loads(run("list", "--format", "json")[1])
    folder, other = tmp_path / "export", tmp_path / "other"
    code, _, said = run("export", line["key"][:8], str(folder))
    assert (code, "7 networks in 1 shards" in said) == (0, True)
    code, _, said = run("import", str(folder), results=other)
    assert (code, "7 trials added" in said) == (0, True)
    code, _, said = run("import", str(folder), results=other)
    assert (code, "0 trials added, 7 were there already" in said) == (0, True)
    assert json.loads(run("list", "--format", "json", results=other)[1]) == [line]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("show", "zz"), "`initbench zoo list` lists them"),
        (("export", "zz", "folder"), "`initbench zoo list` lists them"),
        (("import", "nowhere"), "expected the folder of an export"),
        (("import", "nowhere", "--checkpoints", "1"), "`--checkpoints` is for public zoos"),
        (("import", "nowhere", "--from", "schuerholt2022"), "unpacked archive of a public"),
    ],
)
def test_wrong_input_is_one_message(run: Run, arguments: tuple[str, ...], why: str) -> None:
    code, out, said = run(*arguments)
    assert (code, out) == (2, "")
    assert why in said
    assert "Traceback" not in said


def test_an_empty_folder_has_no_zoos(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("list", "--format", "json", results=tmp_path / "nothing")
    assert (code, json.loads(out)) == (0, [])
