"""Whatever is in a results folder becomes a page, or a reason why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from initbench.cli import run_command
from initbench.cli.leaderboard import leaderboard
from initbench.errors import UserError
from initbench.leaderboard.publish import collect, publish
from initbench.plugin.registry import Registry
from initbench.store.manifest import MeasureNote, SuiteManifest
from initbench.store.store import Store
from tests.factories import manifest, record
from tests.leaderboard.markup import parse

INITIALISERS = ("default", "he")
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.installed()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder with a small suite of two initialisers."""
    suite = manifest(initialisers=INITIALISERS, seeds=SEEDS)
    with Store(tmp_path / "results").lock("test") as writer:
        writer.write_manifest(suite)
        for i, name in enumerate(INITIALISERS):
            for seed in SEEDS:
                accuracy = 0.9 + 0.02 * i + 0.001 * seed * (i + 1)
                writer.commit(record(initialiser=name, seed=seed, accuracy=accuracy))
    return tmp_path / "results"


def add_suite(folder: Path, suite: SuiteManifest) -> None:
    with Store(folder).lock("test") as writer:
        writer.write_manifest(suite)


def broken_suite() -> SuiteManifest:
    measures = [MeasureNote(name="gone", config={}, label="gone")]
    return manifest(initialisers=INITIALISERS, seeds=SEEDS, name="other", measures=measures)


def test_the_page_of_a_store_shows_its_records(folder: Path, registry: Registry) -> None:
    page = publish(Store(folder), registry)
    assert page == folder / "leaderboard" / "index.html"
    text = parse(page.read_text("utf-8")).text
    assert "Made from the records of 6 trials." in text
    assert "92.20" in text  # the mean of 0.92, 0.922 and 0.924
    assert "▲ 1 better" in " ".join(text.split())


def test_it_is_made_from_records_alone_so_that_again_means_the_same(
    folder: Path, registry: Registry
) -> None:
    first = publish(Store(folder), registry).read_bytes()
    assert publish(Store(folder), registry).read_bytes() == first


def test_building_changes_nothing_but_the_page(folder: Path, registry: Registry) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before = content()
    page = publish(Store(folder), registry)
    assert {path: data for path, data in content().items() if path != page} == before


def test_a_suite_that_cannot_be_read_is_left_out_with_the_reason(
    folder: Path, registry: Registry
) -> None:
    add_suite(folder, broken_suite())
    found = collect(Store(folder), registry)
    assert [suite.suite for suite in found.results] == ["quickstart"]
    assert list(found.left_out) == ["other"]
    assert "`gone`" in found.left_out["other"]
    assert "`gone`" in publish(Store(folder), registry).read_text("utf-8")


def test_a_damaged_record_is_a_reason_not_a_crash(folder: Path, registry: Registry) -> None:
    key = record(initialiser="he", seed=1).key
    path = Store(folder).paths.record(key)
    path.write_bytes(path.read_bytes().replace(b"0.9", b"0.8"))
    assert "corrupt" in collect(Store(folder), registry).left_out["quickstart"]


def test_nothing_to_show_is_an_error_that_says_what_to_do(
    tmp_path: Path, registry: Registry
) -> None:
    with pytest.raises(UserError, match="`initbench run quickstart` runs one"):
        publish(Store(tmp_path / "nowhere"), registry)
    assert not (tmp_path / "nowhere").exists()


class TestCommand:
    def test_it_says_where_the_page_is(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run_command(["leaderboard", "build", "--results", str(folder)]) == 0
        page = folder / "leaderboard" / "index.html"
        assert capsys.readouterr().out.strip() == str(page)
        assert page.is_file()

    def test_another_place(self, folder: Path, tmp_path: Path) -> None:
        output = tmp_path / "site" / "board.html"
        arguments = ["leaderboard", "build", "--results", str(folder), "--output", str(output)]
        assert run_command(arguments) == 0
        assert output.read_text("utf-8").startswith("<!doctype html>")
        assert not (folder / "leaderboard").exists()

    def test_what_is_left_out_is_a_warning(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        add_suite(folder, broken_suite())
        assert run_command(["leaderboard", "build", "--results", str(folder)]) == 0
        assert "warning: `other` is not on the page:" in capsys.readouterr().err

    def test_an_empty_store_exits_with_2(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run_command(["leaderboard", "build", "--results", str(tmp_path)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: there are no results to show")

    @pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"]])
    def test_help_ends_with_two_examples(self, arguments: list[str]) -> None:
        shown = CliRunner().invoke(leaderboard, arguments).output
        assert shown.rstrip().split("Examples:\n")[1].count("initbench leaderboard build") == 2
