"""`initbench plugins`: what is listed and shown, without harm from what is broken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from initbench.cli import run_command
from tests.plugin.worlds import World, good, world

__all__ = ["world"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code, its output and what it said on the way."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run_command(["plugins", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def cells(output: str) -> list[list[str]]:
    """The rows of a table, as lists of words."""
    return [line.split() for line in output.splitlines() if line.strip()]


def test_the_list_names_kind_name_distribution_and_version(world: World, run: Run) -> None:
    world.install("warm", {"initialiser.warm": "warm:Warm"}, {"warm.py": "1 / 0"}, version="1.4.0")
    code, out, err = run("list")
    rows = cells(out)
    assert (code, err) == (0, "")
    assert rows[0] == ["kind", "name", "distribution", "version", "problem"]
    assert ["initialiser", "warm", "warm", "1.4.0"] in rows
    assert ["model", "zoo_cnn", "initbench"] in [row[:3] for row in rows]
    assert "warm" not in sys.modules


def test_the_list_says_what_is_wrong(world: World, run: Run) -> None:
    world.install("odd", {"initialiser.odd": "odd"}, {})
    code, out, _ = run("list")
    assert code == 0
    assert "expected `module:object` as the value of the entry point, got `odd`" in out


def test_listing_loads_neither_torch_nor_a_plugin() -> None:
    code = """
import sys
from initbench.cli import run_command
assert run_command(["plugins", "list"]) == 0
heavy = {"torch", "numpy", "mlflow", "sklearn", "scipy", "initbench_classical"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "he" in done.stdout


DESCRIBED = """
    from typing import Annotated, Literal
    from pydantic import Field
    from initbench.api import Support

    class PickyConfig(Config):
        "How picky it is."
        std: Annotated[float, Field(gt=0, description="width of the normal")] = 0.5
        mode: Literal["in", "out"]

    class Picky(Good):
        name = "picky"
        citation = Citation("A. N. Author: Picky weights. 2026.", "https://example.org/picky")
        Config = PickyConfig
"""

SUPPORTS = """
    class Convolutional(Good):
        name = "convolutional"

        def supports(self, anatomy):
            kinds = {layer.kind.value for layer in anatomy}
            return Support.yes() if "conv" in kinds else Support.no("it has no convolution")
"""


@pytest.fixture
def picky(world: World) -> World:
    """A world with a plugin that says all about itself."""
    source = good(extra=DESCRIBED) + "\n" + good("unused", extra=SUPPORTS).split("\n\n\n")[-1]
    points = {
        "initialiser.picky": "picky:Picky",
        "initialiser.convolutional": "picky:Convolutional",
    }
    world.install("picky-init", points, {"picky.py": source}, version="2.1")
    return world


def test_show_tells_what_there_is_to_know(picky: World, run: Run) -> None:
    code, out, err = run("show", "picky")
    assert (code, err) == (0, "")
    for text in (
        "name         picky",
        "kind         initialiser",
        "scope        pointwise",
        "citation     A. N. Author: Picky weights. 2026.",
        "https://example.org/picky",
        "provided by  picky-init 2.1 (picky:Picky)",
        "code         version 3",
        "How picky it is.",
    ):
        assert text in out
    words = [" ".join(row) for row in cells(out)]
    assert "std a number above 0 0.5 width of the normal" in words
    assert "mode `in` or `out` (required)" in words


def test_show_tries_the_models_of_the_harness(picky: World, run: Run) -> None:
    _, out, _ = run("show", "convolutional")
    rows = [" ".join(row) for row in cells(out)]
    assert "mlp no: it has no convolution" in rows
    assert {"zoo_cnn yes", "cifar_resnet yes", "convnext_base yes"} <= set(rows)


def test_show_writes_a_recipe_out_in_full(run: Run) -> None:
    code, out, _ = run("show", "digits_quick")
    assert code == 0
    rows = [" ".join(row) for row in cells(out)]
    assert {"optimiser.name adam", "precision float32", "clip_norm null"} <= set(rows)


@pytest.mark.parametrize("name", ["he", "lsuv", "zoo_cnn", "digits", "test_accuracy"])
def test_everything_of_the_harness_can_be_shown(name: str, run: Run) -> None:
    code, out, err = run("show", name)
    assert (code, err) == (0, "")
    assert f"name         {name}" in out
    assert "summary      " in out


def test_a_model_of_a_library_is_found_by_name_and_tells_its_image_size(run: Run) -> None:
    code, out, err = run("show", "torchvision/inception_v3")
    assert (code, err) == (0, "")
    assert "kind         model" in out
    assert "licence      BSD-3-Clause (torchvision)" in out
    assert "image size   299 x 299 pixels" in out
    assert "image size   that of the data" in run("show", "cifar_resnet")[1]
    code, _, err = run("show", "torchvision/inception_v4")
    assert code == 2
    assert err.startswith("error: unknown classifier of torchvision `inception_v4`; did you mean `")


def test_a_name_of_two_kinds_needs_the_kind(world: World, run: Run) -> None:
    source = good("digits", "Digits = Good")
    world.install("twins", {"initialiser.digits": "twins:Digits"}, {"twins.py": source})
    code, _, err = run("show", "digits")
    assert code == 2
    assert err == (
        "error: `digits` is a name of several kinds (dataset, initialiser); say which with "
        "`--kind`\n"
    )
    code, out, _ = run("show", "digits", "--kind", "initialiser")
    assert code == 0
    assert "twins 1.0" in out


def test_an_unknown_name_gets_the_closest_ones(run: Run) -> None:
    code, _, err = run("show", "zo_cnn")
    assert code == 2
    assert err == "error: unknown plugin `zo_cnn`; did you mean `zoo_cnn` or `all_cnn_c`?\n"


def test_a_broken_plugin_is_one_message(world: World, run: Run) -> None:
    world.install("bad-init", {"initialiser.bad": "bad:Bad"}, {"bad.py": "1 / 0"})
    code, out, err = run("show", "bad")
    assert (code, out) == (2, "")
    assert err.startswith("error: initialiser `bad` of bad-init 1.0 raised ZeroDivisionError")
    assert err.count("\n") == 1


def test_what_a_plugin_prints_does_not_mix_with_the_output(world: World, run: Run) -> None:
    source = good("loud", "Loud = Good", at_import="print('LOUD')")
    world.install("loud-init", {"initialiser.loud": "loud:Loud"}, {"loud.py": source})
    code, out, err = run("show", "loud")
    assert code == 0
    assert "LOUD" not in out
    assert err == "warning: initialiser `loud` of loud-init 1.0 printed `LOUD`\n"
