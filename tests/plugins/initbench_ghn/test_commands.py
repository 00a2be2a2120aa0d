"""`initbench graph` and `initbench embeddings`, as they are typed."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from initbench.cli import run_command
from tests.plugins.initbench_ghn.support import golden_file


@pytest.fixture(autouse=True)
def in_a_folder_without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INITBENCH_DATA", str(tmp_path))


def test_a_graph_is_drawn_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["graph", "{name: cifar_resnet, depth: 32}", "--classes", "7"]) == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "cifar_resnet(depth=32), images of 3 x 32 x 32"
    assert {"nodes 81", "32 conv", "15 sum", "100.000 % predicted (95 tensors)"} <= set(lines)
    ElementTree.parse("graph.svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["graph", "resnt50"], "unknown model `resnt50`; did you mean `resnet50`"),
        (["graph", "{depth: 3}"], "the model: `name`: missing"),
        (["graph", "{name: cifar_resnet, depth: 21}"], "cifar_resnet"),
        (["graph", "zoo_cnn", "--output", "none/a.svg"], "cannot write `none/a.svg`"),
        (["embeddings", "zoo_cnn", "mlp"], "three models or more, got 2"),
        (["embeddings", "a", "b", "c", "--checkpoint", "x.pt"], "no checkpoint `x.pt`"),
    ],
)
def test_wrong_input_is_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_embeddings_say_which_hypernetwork_saw_them(capsys: pytest.CaptureFixture[str]) -> None:
    models = ["cifar_resnet", "{name: cifar_resnet, depth: 32}", "zoo_cnn"]
    assert run_command(["embeddings", *models]) == 0
    assert capsys.readouterr().out.startswith("a GHN-2 with random weights; shares of variance ")
    checkpoint = str(golden_file("tiny_ghn2.pt"))
    assert run_command(["embeddings", *models, "--checkpoint", checkpoint]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tiny_ghn2.pt; ")
    assert [line.split()[-1] for line in lines[1:]] == [
        "cifar_resnet",
        "cifar_resnet(depth=32)",
        "zoo_cnn",
    ]
    assert "cifar_resnet(depth=32)" in Path("embeddings.svg").read_text()
