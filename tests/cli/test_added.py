"""Commands that plugins add: found by metadata, imported when called, and never in the way."""

from __future__ import annotations

import subprocess
import sys

import pytest

from initbench.cli import run_command
from tests.plugin.worlds import World, world

__all__ = ["world"]

COMMAND = """
import click

@click.command()
@click.option("--times", default=1)
def greet(times):
    "Greet."
    click.echo("hello " * times)
    return 3

number = 7
"""

Capture = pytest.CaptureFixture[str]


def test_a_command_of_a_plugin_runs_like_our_own(world: World, capsys: Capture) -> None:
    world.install("greeter", {"command.greet": "greeter:greet"}, {"greeter.py": COMMAND})
    assert run_command(["greet", "--times", "2"]) == 3
    assert capsys.readouterr().out == "hello hello \n"
    assert run_command(["greet", "--help"]) == 0
    assert "Greet." in capsys.readouterr().out
    assert run_command(["greet", "--tims", "2"]) == 2


def test_help_and_list_name_it_without_importing_it(world: World, capsys: Capture) -> None:
    world.install("greeter", {"command.greet": "greeter:greet"}, {"greeter.py": "1 / 0"})
    assert run_command(["--help"]) == 0
    assert "From greeter of greeter 1.0." in capsys.readouterr().out
    assert run_command(["plugins", "list"]) == 0
    assert ["command", "greet", "greeter", "1.0"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]
    assert "greeter" not in sys.modules


@pytest.mark.parametrize(
    ("target", "source", "message"),
    [
        ("broken:greet", "1 / 0", "raised ZeroDivisionError"),
        ("broken:number", COMMAND, "is no command of click, but of type int"),
        ("broken:nothing", COMMAND, "raised AttributeError"),
        ("broken", COMMAND, "expected `module:object`"),
    ],
)
def test_one_that_is_broken_names_its_distribution(
    world: World, capsys: Capture, target: str, source: str, message: str
) -> None:
    world.install("broken-one", {"command.greet": target}, {"broken.py": source})
    assert run_command(["greet"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: command `greet` of broken-one 1.0")
    assert message in captured.err
    assert run_command(["plugins", "list"]) == 0


def test_our_own_commands_cannot_be_taken_over(world: World, capsys: Capture) -> None:
    world.install("usurper", {"command.doctor": "usurper:greet"}, {"usurper.py": "1 / 0"})
    assert run_command(["doctor", "--help"]) == 0
    assert "Check this machine" in capsys.readouterr().out
    assert run_command(["plugins", "list"]) == 0
    assert "initbench has a command of this name" in capsys.readouterr().out
    assert run_command(["--help"]) == 0
    assert "usurper" not in capsys.readouterr().out


def test_two_plugins_with_one_command_are_both_named(world: World, capsys: Capture) -> None:
    for name in ("one", "two"):
        world.install(name, {"command.greet": f"{name}:greet"}, {f"{name}.py": COMMAND})
    assert run_command(["greet"]) == 2
    assert "is provided by one 1.0 and two 1.0" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
from initbench.cli import run_command
assert run_command(["--help"]) == 0
heavy = {"torch", "numpy", "mlflow", "sklearn", "scipy", "initbench_ghn"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "graph" in done.stdout
