"""Starting is cheap, and help is documentation."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import click
import pytest

from initbench.cli import COMMANDS, cli

HEAVY = ("torch", "mlflow", "scipy", "statsmodels", "sklearn", "pandas")


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split("\n")[-2].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import initbench, initbench.api") == set()


def test_help_loads_nothing_heavy_and_takes_little_time() -> None:
    help_page = "from initbench.cli import run_command; run_command(['--help'])"
    assert loaded_by(help_page) == set()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "initbench", "--help"], check=True, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert used < 0.3


def test_listing_plugins_does_not_import_torch() -> None:
    listing = "from initbench.cli import run_command; run_command(['plugins', 'list'])"
    assert loaded_by(listing) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_ends_its_help_with_two_examples(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for leaf in commands_below(command):
        epilog = leaf.epilog or ""
        examples = [line for line in epilog.splitlines() if line.startswith("  initbench ")]
        assert len(examples) >= 2, f"{name} {leaf.name}"
        assert leaf.help


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_help_is_the_commands_own(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert COMMANDS[name][1].startswith(command.get_short_help_str(200).split(":")[0].rstrip("."))


def commands_below(command: click.Command) -> list[click.Command]:
    if not isinstance(command, click.Group):
        return [command]
    return [leaf for child in command.commands.values() for leaf in commands_below(child)]


def test_output_that_nobody_reads_any_more_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "initbench", "suite", "schema"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert "Traceback" not in done.stderr
