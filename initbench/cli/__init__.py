"""The command line: `initbench`.

Every command lives in a module of its own and is imported when it is called, so `initbench --help`
loads neither torch nor mlflow.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, NoReturn

import click

from initbench import __version__
from initbench.cli.added import added_commands, loaded
from initbench.cli.terminal import Terminal
from initbench.errors import InitbenchError

COMMANDS = {
    "run": ("initbench.cli.run:run", "Run a suite: train what is missing, test, publish."),
    "plan": ("initbench.cli.plan:plan", "Show what `run` would do, without doing it."),
    "results": ("initbench.cli.results:results", "Print the results of a suite that was run."),
    "compare-published": (
        "initbench.cli.compare_published:compare_published",
        "Lay the results of a suite beside the published ones.",
    ),
    "explain": (
        "initbench.cli.explain:explain",
        "Show what is below a trial's key, or how two trials differ.",
    ),
    "plugins": ("initbench.cli.plugins:plugins", "List installed plugins and describe them."),
    "suite": ("initbench.cli.suite:suite", "List, show and validate suites."),
    "artifacts": (
        "initbench.cli.artifacts:artifacts",
        "List the fitted states of initialisers and show how good they are.",
    ),
    "zoo": (
        "initbench.cli.zoo:zoo",
        "Train, list, show, export and import populations of networks.",
    ),
    "leaderboard": ("initbench.cli.leaderboard:leaderboard", "Build the leaderboard page."),
    "mlflow": ("initbench.cli.mlflow:mlflow", "Mirror records to MLflow."),
    "data": ("initbench.cli.data:data", "List, fetch, verify and look at data sets."),
    "bench": ("initbench.cli.bench:bench", "Measure the speed of initbench on this machine."),
    "doctor": ("initbench.cli.doctor:doctor", "Check this machine and say what repairs it."),
}
"""Name -> where the command is, and its short help (a test holds it to the command's own)."""


class LazyGroup(click.Group):
    """A group that imports a command only when it is called, its own and those of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *(x.name for x in added_commands(COMMANDS) if x.problem is None)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            added = [x for x in added_commands(COMMANDS) if x.name == cmd_name]
            return loaded(added[0]) if added else None
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, short) in COMMANDS.items()])
        # Metadata says who provides a command, but not what it does.
        if added := [x for x in added_commands(COMMANDS) if x.problem is None]:
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(x.name, f"From {x.module} of {x.owner}.") for x in added])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  initbench run quickstart
  initbench results quickstart --format json
""",
)
@click.version_option(__version__, prog_name="initbench")
@click.option("-q", "--quiet", is_flag=True, help="Print results, warnings and errors only.")
@click.pass_context
def cli(ctx: click.Context, quiet: bool) -> None:
    """Find out which way of initialising a neural network's weights really works."""
    ctx.obj = Terminal(quiet=quiet)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code (see docs/design.md, Outcomes)."""
    sys.exit(run_command(arguments))


def run_command(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        outcome: Any = cli.main(args=arguments, prog_name="initbench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return 2
    except InitbenchError as error:
        Terminal().error(str(error))
        return 2
    except (KeyboardInterrupt, click.Abort):
        Terminal().warning("stopped; the same command continues where this one ended")
        return 130
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone; nobody is left to tell.
        sys.stderr.close()
        return 0
    return outcome if isinstance(outcome, int) else 0
