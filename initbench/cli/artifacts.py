"""`initbench artifacts`: the fitted states of initialisers, and how good they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from initbench.cli.options import results_option
from initbench.cli.terminal import Terminal
from initbench.errors import UserError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from initbench.store.artifact import StoredArtifact
    from initbench.store.store import Store

_EXAMPLES = "examples."


@click.group(
    epilog="""\b
Examples:
  initbench artifacts list
  initbench artifacts show 3f9a
"""
)
def artifacts() -> None:
    """List the fitted states of initialisers and show how good they are."""


@artifacts.command(
    "list",
    epilog="""\b
Examples:
  initbench artifacts list
  initbench artifacts list --results other/results
""",
)
@results_option
@click.pass_obj
def list_(terminal: Terminal, results: Path) -> None:
    """List what initialisers have learnt: from what, whether it worked, how long it took."""
    from initbench.store.store import Store

    rows = []
    for fitted in _fitted(Store(results)):
        warnings = fitted.description.get("warnings")
        rows.append(
            [
                fitted.key[:12],
                fitted.identity["initialiser"]["name"],
                fitted.identity["model"]["name"],
                fitted.identity["data"]["name"],
                fitted.status.value,
                f"{fitted.cost.wall_seconds:.1f}",
                str(len(warnings)) if isinstance(warnings, list) else "",
            ]
        )
    columns = ["key", "initialiser", "model", "data set", "status", "seconds", "warnings"]
    terminal.table("", columns, rows, numbers=columns[-2:])


@artifacts.command(
    epilog="""\b
Examples:
  initbench artifacts show 3f9a
  initbench artifacts show 3f9a --picture filters.png
"""
)
@click.argument("key")
@results_option
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the examples that the artifact keeps as a picture (PNG).",
)
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="How to print it.")  # fmt: skip
@click.pass_obj
def show(terminal: Terminal, key: str, results: Path, picture: Path | None, form: str) -> None:
    """Show one fitted state: what it was learnt with and its diagnostics.

    KEY is the key of an artifact (its first characters do). Reads the store only.
    """
    from initbench.store.store import Store

    store = Store(results)
    fitted = _named(store, key)
    if form == "json":
        terminal.print_json({"key": fitted.key, **fitted.model_dump(mode="json")["description"]})
    else:
        _print(terminal, fitted)
    if picture is not None:
        _draw(store, fitted).save(picture, format="PNG")
        terminal.info(f"picture  {picture}")


def _fitted(store: Store) -> list[StoredArtifact]:
    found = (store.artifact(key) for key in store.artifact_keys())
    return [artifact for artifact in found if artifact is not None and artifact.kind == "fit"]


def _named(store: Store, prefix: str) -> StoredArtifact:
    found = [artifact for artifact in _fitted(store) if artifact.key.startswith(prefix.lower())]
    if not found:
        raise UserError(
            f"no fitted state in `{store.paths.root}` has a key that begins with `{prefix}`; "
            "`initbench artifacts list` lists them"
        )
    if len(found) > 1:
        shown = ", ".join(artifact.key[:12] for artifact in found[:5])
        raise UserError(f"`{prefix}` begins {len(found)} keys ({shown}); give more characters")
    return found[0]


def _print(terminal: Terminal, fitted: StoredArtifact) -> None:
    identity, description = fitted.identity, fitted.description
    facts = {
        "key": fitted.key,
        "initialiser": identity["initialiser"]["name"],
        "configuration": json.dumps(identity["initialiser"]["config"], ensure_ascii=False),
        "model": identity["model"]["name"],
        "data set": identity["data"]["name"],
        "status": fitted.status.value,
        "seconds": f"{fitted.cost.wall_seconds:.1f}",
        **{key: str(x) for key, x in description.items() if isinstance(x, str | int | float)},
    }
    if fitted.failure is not None:
        facts["reason"] = fitted.failure.message
    width = max(map(len, facts))
    for label, text in facts.items():
        terminal.print_text(f"{label:{width}}  {text}")
    columns, rows = _diagnostics(description)
    if columns:
        terminal.table("\nDiagnostics", columns, rows, numbers=columns[1:])
    warnings = description.get("warnings")
    for text in warnings if isinstance(warnings, list) else []:
        terminal.warning(str(text))


def _diagnostics(description: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the table of an artifact; nothing where it has none, or one of another form."""
    table = description.get("diagnostics")
    if not isinstance(table, Mapping):
        return [], []
    columns, rows = table.get("columns"), table.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list):
        return [], []
    if any(not isinstance(row, list) or len(row) != len(columns) for row in rows):
        return [], []
    return [str(x).replace("_", " ") for x in columns], [[_cell(x) for x in row] for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _draw(store: Store, fitted: StoredArtifact) -> Image.Image:
    """Return a picture of the examples; raise UserError where there are none."""
    from initbench.data.contact_sheet import Row, draw

    tensors = store.tensors(fitted)
    names = sorted(name for name in tensors if name.startswith(_EXAMPLES))
    planes = {name.removeprefix(_EXAMPLES): tensors[name] for name in names}
    if not planes or any(x.ndim != 3 or 0 in x.shape for x in planes.values()):
        raise UserError(f"the artifact `{fitted.key[:12]}` keeps no examples to draw")
    return draw([Row(title, list(_grey(x))) for title, x in planes.items()])


def _grey(planes: Tensor) -> Any:
    """Return planes as grey pixels (number, height, width, 1): 0 is middle grey."""
    import numpy as np

    values = planes.float().numpy()
    largest = np.abs(values).max() or 1.0
    return (127.5 + 127.5 * values / largest).round().astype(np.uint8)[..., None]
