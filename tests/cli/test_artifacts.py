"""`initbench artifacts`: what is said about fitted states, from the store alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from initbench.cli import run_command
from initbench.cli.progress import warnings_of
from initbench.store.artifact import StoredArtifact
from initbench.store.identity import digest
from initbench.store.record import Cost, Failure, TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store

Run = Callable[..., tuple[int, str, str]]

DESCRIPTION = {
    "networks": 5,
    "diagnostics": {
        "columns": ["layer", "data_std", "ratio"],
        "rows": [["conv1.weight", 0.25, 0.987654], ["conv2.weight", 0.5, None]],
    },
    "warnings": ["1 of 2 layers collapsed"],
}
EXAMPLES = {"examples.0 conv1, trained": torch.randn(4, 3, 3), "mean": torch.zeros(3)}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def run(results: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code, its output and what it said on the way."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run_command(["artifacts", *arguments, "--results", str(results)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def store(
    results: Path,
    description: Mapping[str, Any] = DESCRIPTION,
    tensors: Mapping[str, torch.Tensor] | None = EXAMPLES,
    name: str = "slice_vae",
    failure: Failure | None = None,
    kind: Any = "fit",
) -> StoredArtifact:
    """Put an artifact into the store as a worker and the planner do."""
    identity = {
        "kind": kind,
        "initialiser": {"name": name, "config": {"networks": 5}},
        "model": {"name": "zoo_cnn"},
        "data": {"name": "digits"},
    }
    artifact = StoredArtifact(
        key=digest(identity),
        kind=kind,
        identity=identity,
        status=TrialStatus.FAILED if failure else TrialStatus.DONE,
        failure=failure,
        description=dict(description),
        cost=Cost(
            wall_seconds=12.34, device_seconds=1, peak_memory_bytes=1, images_seen=0, steps=0
        ),
        environment={},
    )
    with Store(results).lock("test") as writer:
        spool = Spool(writer.paths.spool / "test")
        writer.adopt(spool.put_artifact(artifact, tensors))
    return artifact


def test_the_list_names_each_fit_and_nothing_else(results: Path, run: Run) -> None:
    fitted = store(results)
    store(results, {}, None, kind="data")
    code, out, _ = run("list")
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert code == 0
    assert lines[-1] == [fitted.key[:12], "slice_vae", "zoo_cnn", "digits", "done", "12.3", "1"]
    assert len(lines) == 3


def test_an_empty_store_has_an_empty_list(run: Run) -> None:
    code, out, _ = run("list")
    assert code == 0
    assert "initialiser" in out


def test_diagnostics_are_shown_as_the_author_ordered_them(results: Path, run: Run) -> None:
    code, out, err = run("show", store(results).key[:5])
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["layer", "data", "std", "ratio"] in lines
    assert ["conv1.weight", "0.25", "0.988"] in lines
    assert ["conv2.weight", "0.5"] in lines
    assert ["networks", "5"] in lines
    assert "warning: 1 of 2 layers collapsed" in err


def test_json_is_the_description(results: Path, run: Run) -> None:
    artifact = store(results)
    code, out, _ = run("show", artifact.key, "--format", "json")
    assert code == 0
    assert json.loads(out) == {"key": artifact.key, **DESCRIPTION}


def test_a_failed_fit_is_shown_with_its_reason(results: Path, run: Run) -> None:
    failure = Failure(kind="PluginError", message="the zoo has 3 trained networks")
    code, out, _ = run("show", store(results, {}, None, failure=failure).key)
    assert code == 0
    assert "the zoo has 3 trained networks" in out


@pytest.mark.parametrize(
    "diagnostics",
    [None, 5, [], {"columns": ["a"]}, {"columns": ["a"], "rows": [[1, 2]]},
     {"columns": ["a"], "rows": [3]}, {"columns": 3, "rows": []}],
)  # fmt: skip
def test_diagnostics_of_another_form_do_no_harm(results: Path, run: Run, diagnostics: Any) -> None:
    description = {"diagnostics": diagnostics, "warnings": 3, "note": "[bold]markup[/bold]"}
    code, out, err = run("show", store(results, description, None).key)
    assert (code, err) == (0, "")
    assert "[bold]markup[/bold]" in out
    assert "Diagnostics" not in out


def test_a_picture_has_a_row_for_each_example(results: Path, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "filters.png"
    code, _, err = run("show", store(results).key, "--picture", str(target))
    assert code == 0
    assert str(target) in err
    with Image.open(target) as picture:
        assert picture.format == "PNG"
        assert picture.width > 4 * 96


def test_without_examples_there_is_no_picture(results: Path, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "filters.png"
    code, _, err = run("show", store(results, {}, None).key, "--picture", str(target))
    assert code == 2
    assert "keeps no examples to draw" in err
    assert not target.exists()


def test_an_unknown_or_ambiguous_key_is_refused(results: Path, run: Run) -> None:
    store(results)
    store(results, name="vqvae")
    code, _, err = run("show", "zzzz")
    assert code == 2
    assert "`initbench artifacts list`" in err
    code, _, err = run("show", "")
    assert code == 2
    assert "begins 2 keys" in err


def test_a_run_repeats_the_warnings_of_a_fit(results: Path) -> None:
    artifact = store(results)
    (text,) = warnings_of(artifact)
    assert text == f"fit of `slice_vae` ({artifact.key[:12]}): 1 of 2 layers collapsed"
    assert warnings_of(store(results, {"warnings": "none"}, None, name="other")) == []
    assert warnings_of(store(results, {}, None, kind="data")) == []
