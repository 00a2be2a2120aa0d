from __future__ import annotations

from initbench.leaderboard.across import across_tables
from initbench.leaderboard.page import build_page
from initbench.results import Aggregates
from tests.factories import results
from tests.reporting.test_aggregates import on_blocks


def test_a_suite_on_one_model_and_data_set_has_no_section_across() -> None:
    page = build_page([on_blocks(1, 4)])
    assert "--across-title" not in page


def test_the_section_shows_ranks_estimates_and_both_plots() -> None:
    suite = on_blocks(3, 12)
    (table,) = across_tables(suite, "suite")
    assert [(line.rank, line.label) for line in table.lines] == [
        ("1", "lsuv"),
        ("2", "he"),
        ("3", "default"),
    ]
    assert table.blocks[0].startswith("zoo_cnn on set0: 12 seeds, one deviation is ")
    assert table.lines[0].estimates[0][1].startswith("[+")
    page = build_page([suite])
    assert "Across models and data sets" in page
    assert "Performance profiles" in page
    assert "ranks 1 to 1 are open" in page


def test_what_could_not_be_aggregated_is_said_and_nothing_is_drawn() -> None:
    blocks = [("zoo_cnn", "a"), ("zoo_cnn", "b")]
    measure = results().rows[0].measure
    nothing = Aggregates(measure, "higher", "fraction", "he", blocks, [1, 1], note="too <few>")
    suite = results(aggregates=[nothing])
    (table,) = across_tables(suite, "suite")
    assert (table.lines, table.ranks, table.profiles) == ([], None, None)
    assert "too &lt;few&gt;" in build_page([suite])
