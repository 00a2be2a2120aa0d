"""`initbench suite`: list, show and validate suites; export the language for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from initbench.cli.options import load_from_options, suite_options
from initbench.cli.terminal import Terminal
from initbench.errors import InitbenchError, UserError

if TYPE_CHECKING:
    from initbench.plugin.registry import Registry


@click.group(
    epilog="""\b
Examples:
  initbench suite list
  initbench suite validate my_suite.yaml
"""
)
def suite() -> None:
    """List, show and validate suites."""


@suite.command(
    "list",
    epilog="""\b
Examples:
  initbench suite list
  initbench suite list > suites.txt
""",
)
@click.pass_obj
def list_suites(terminal: Terminal) -> None:
    """List the suites that come with initbench."""
    from initbench.suite.find import bundled_suites
    from initbench.suite.load import load_suite

    counted = ["models", "data sets", "initialisers", "seeds"]
    rows = []
    for name in bundled_suites():
        bundled = load_suite(name).suite
        sections = (bundled.models, bundled.datasets, bundled.initialisers, bundled.seed_list)
        counts = [str(len(section)) for section in sections]
        rows.append([name, bundled.title, *counts, ", ".join(bundled.profiles) or "none"])
    terminal.table("", ["suite", "title", *counted, "profiles"], rows, numbers=counted)


@suite.command(
    epilog="""\b
Examples:
  initbench suite show quickstart
  initbench suite show quickstart --profile smoke --set recipe.epochs=3
"""
)
@suite_options
@click.pass_obj
def show(terminal: Terminal, /, **options: Any) -> None:
    """Show a suite as YAML, after its profile and all other changes.

    SUITE is the name of a bundled suite or the path of a suite file.
    """
    from initbench.suite.yaml_reader import write_document

    terminal.print_text(write_document(load_from_options(**options).tree()))


@suite.command(
    epilog="""\b
Examples:
  initbench suite validate quickstart
  initbench suite validate my_suite.yaml suites/quickstart.yaml
"""
)
@click.argument("suites", metavar="SUITE...", nargs=-1, required=True)
@click.pass_obj
def validate(terminal: Terminal, suites: tuple[str, ...]) -> int:
    """Check suites and their profiles.

    Names and configurations are checked against the installed plugins, too.

    Whether each initialiser supports each model is seen by `initbench plan`, which builds them.
    """
    from initbench.plugin.registry import Registry

    registry = Registry.installed()
    wrong = 0
    for name in suites:
        try:
            _validate(name, registry)
        except InitbenchError as error:
            terminal.error(str(error))
            wrong += 1
        else:
            terminal.print_text(f"{name}: OK")
    return 2 if wrong else 0


@suite.command(
    epilog="""\b
Examples:
  initbench suite schema > suite.schema.json
  initbench suite schema | python -m json.tool --compact
"""
)
@click.pass_obj
def schema(terminal: Terminal) -> None:
    """Print the JSON Schema of suite files.

    Editors that understand JSON Schema complete and check suites with it.
    """
    from initbench.suite.schema_export import json_schema

    terminal.print_json(json_schema())


def _validate(name: str, registry: Registry) -> None:
    from initbench.suite.load import load_suite
    from initbench.suite.resolve import complaints

    loaded = load_suite(name)
    variants = [loaded, *(load_suite(name, profile=profile) for profile in loaded.suite.profiles)]
    found = [complaint for variant in variants for complaint in complaints(variant, registry)]
    if found:
        raise UserError("\n".join(dict.fromkeys(found)))
