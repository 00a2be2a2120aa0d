"""Publishing: from a results folder to the page in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.errors import InitbenchError, UserError
from initbench.leaderboard.page import build_page
from initbench.results import SuiteResults

if TYPE_CHECKING:
    from initbench.plugin.registry import Registry
    from initbench.store.store import Store


@dataclass(frozen=True)
class Collected:
    """The suites of a results folder: those with results, and the reasons why others have none."""

    results: list[SuiteResults]
    left_out: dict[str, str]  # by name of the suite


def collect(store: Store, registry: Registry) -> Collected:
    """Compute the results of every suite that was run.

    A suite whose measures are no longer installed or whose files are corrupt is left out with the
    reason, and does not stand in the way of the others.
    """
    from initbench.reporting import results_of

    results: list[SuiteResults] = []
    left_out: dict[str, str] = {}
    for manifest in store.manifests():
        try:
            results.append(results_of(store, manifest, registry))
        except InitbenchError as error:
            left_out[" ".join([manifest.name, manifest.profile or ""]).strip()] = str(error)
    return Collected(results, left_out)


def publish(store: Store, registry: Registry, output: Path | None = None) -> Path:
    """Write the page of everything in a results folder; return where it is."""
    return write_page(collect(store, registry), output or store.paths.leaderboard / "index.html")


def write_page(collected: Collected, output: Path) -> Path:
    """Write the page of collected results, whole or not at all; return where it is.

    Raises UserError if there is nothing to show.
    """
    from initbench.store.atomic import write_text

    if not collected.results and not collected.left_out:
        raise UserError(
            "there are no results to show: no suite has been run; "
            "`initbench run quickstart` runs one"
        )
    trials = {k for r in collected.results for k, status in r.trials.items() if status != "missing"}
    page = build_page(
        collected.results,
        generated_from=f"Made from the records of {len(trials):,} trials.",
        left_out=collected.left_out,
    )
    write_text(output, page)
    return output
