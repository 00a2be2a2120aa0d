"""What holds across models and data sets, as the page lays it out."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from markupsafe import Markup

from initbench import formatting
from initbench.leaderboard import svg
from initbench.leaderboard.across_plots import profiles, ranks
from initbench.results import Aggregate, Aggregates, SuiteResults, best_ranks_first
from initbench.statistics.ranks import RankInterval


@dataclass(frozen=True)
class AcrossLine:
    """One initialiser over all blocks: numbers with their intervals below."""

    label: str
    is_reference: bool
    rank: str
    mean_rank: str
    estimates: list[tuple[str, str]]  # mean, interquartile mean, improvement; each with interval


@dataclass(frozen=True)
class AcrossTable:
    """All initialisers over all blocks through one measure."""

    id: str
    measure: int
    label: str
    direction: str
    blocks: list[str]
    note: str
    lines: list[AcrossLine]
    ranks: Markup | None
    profiles: Markup | None


def across_tables(results: SuiteResults, anchor: str) -> list[AcrossTable]:
    """Arrange the aggregates of a suite; `anchor` begins their identifiers."""
    measures = list(dict.fromkeys(row.measure for row in results.rows))
    return [
        _table(found, measures.index(found.measure), f"{anchor}_across{number}")
        for number, found in enumerate(results.aggregates)
    ]


def _table(found: Aggregates, measure: int, identifier: str) -> AcrossTable:
    unit = formatting.unit_of_differences(found.unit)
    sizes = (found.blocks, found.pairs, found.yardsticks) if found.lines else ((), (), ())
    return AcrossTable(
        id=identifier,
        measure=measure,
        label=found.measure,
        direction=found.direction,
        blocks=[
            f"{model} on {dataset}: {n} seeds, one deviation is "
            f"{formatting.value(size, found.unit)} {unit}".rstrip()
            for (model, dataset), n, size in zip(*sizes, strict=True)
        ],
        note="; ".join(
            part for part in (found.note, formatting.critical_difference(found)) if part
        ),
        lines=[_line(line, found.reference) for line in best_ranks_first(found.lines)],
        ranks=_embedded(ranks(found, prefix=f"{identifier}-ranks")),
        profiles=_embedded(profiles(found, prefix=f"{identifier}-profiles")),
    )


def _embedded(plot: Element | None) -> Markup | None:
    """Return a plot as markup: ElementTree has escaped whatever text is in it."""
    return None if plot is None else Markup(svg.markup(plot))


def _line(line: Aggregate, reference: str) -> AcrossLine:
    return AcrossLine(
        label=line.initialiser,
        is_reference=line.initialiser == reference,
        rank=str(RankInterval(line.best_rank, line.worst_rank)),
        mean_rank=f"{line.mean_rank:.2f}",
        estimates=formatting.over_blocks(line),
    )
