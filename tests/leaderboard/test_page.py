"""The page is one inert file that says what the results say, whatever names they carry."""

from __future__ import annotations

import base64
import dataclasses
import doctest
import hashlib
import json
import math
import os
import re
import subprocess
import sys
from statistics import fmean
from typing import Any

import pytest

from initbench import formatting
from initbench.leaderboard import view, wording
from initbench.leaderboard.page import build_page
from initbench.results import Comparison, LayerBand, SuiteResults
from tests.factories import results, verdicts
from tests.leaderboard.markup import Node, parse

Structure = list[tuple[str, tuple[str, ...], str | None]]
SMALL = ("default", "he", "lsuv", "slice_vae")


@pytest.fixture(scope="module")
def suite() -> SuiteResults:
    return results(initialisers=SMALL, seeds=4)


@pytest.fixture(scope="module")
def page(suite: SuiteResults) -> Node:
    return parse(build_page([suite]))


def tables(page: Node) -> list[Node]:
    """The tables of measures."""
    return [t for d in page.all("div", class_="measure") for t in d.all("table", class_="sortable")]


def between(suite: SuiteResults, first: str, second: str) -> list[Comparison]:
    """Comparisons of two initialisers that are not the reference, with the numbers of the first."""
    return [
        dataclasses.replace(c, reference=second, note="of two others")
        for c in suite.comparisons
        if c.initialiser == first
    ]


def lines(table: Node) -> dict[str, list[str]]:
    """The cells of each line of a table, by initialiser."""
    found = {}
    for row in table.all("tbody")[0].all("tr"):
        name = row.all("th")[0].all("bdi")[0].text
        found[name] = [" ".join(cell.text.split()) for cell in row.all("td")]
    return found


def test_examples() -> None:
    for module in (view, wording):
        outcome = doctest.testmod(module)
        assert outcome.attempted
        assert not outcome.failed


class TestOneInertFile:
    def test_the_policy_forbids_everything_but_the_two_hashes(self, page: Node) -> None:
        policy = page.all("meta", http_equiv="Content-Security-Policy")[0].attributes["content"]
        [style] = page.all("style")
        [data, script] = page.all("script")
        assert data.attributes == {"type": "application/json", "id": "page--data"}
        assert script.attributes == {}
        assert policy == (
            f"default-src 'none'; style-src {sha256(style.text)}; "
            f"script-src {sha256(script.text)}; base-uri 'none'; form-action 'none'"
        )

    def test_the_policy_comes_before_anything_it_governs(self, page: Node) -> None:
        head = page.all("head")[0].walk()
        assert [node.tag for node in head[:2]] == ["meta", "meta"]
        assert head[1].attributes["http-equiv"] == "Content-Security-Policy"

    def test_it_loads_nothing(self, page: Node) -> None:
        loading = {"img", "link", "iframe", "object", "embed", "audio", "video", "source", "base"}
        for node in page.walk():
            assert node.tag not in loading | {"image", "use", "form", "template", "foreignobject"}
            assert not node.attributes.keys() & {"src", "srcset", "style", "xlink:href", "action"}
            assert not [name for name in node.attributes if name.startswith("on")]
        style = page.all("style")[0].text
        assert "url(" not in style
        assert "@import" not in style

    def test_links_lead_within_the_page_or_to_https(self, page: Node) -> None:
        identifiers = [n.attributes["id"] for n in page.walk() if "id" in n.attributes]
        assert len(identifiers) == len(set(identifiers))
        for link in page.all("a"):
            target = link.attributes["href"] or ""
            if target.startswith("#"):
                assert target[1:] in identifiers
            else:
                assert target.startswith("https://")
                assert link.attributes["rel"] == "noopener noreferrer nofollow"

    def test_labels_and_descriptions_exist(self, page: Node) -> None:
        identifiers = {n.attributes.get("id") for n in page.walk()}
        for node in page.walk():
            for name in ("aria-labelledby", "aria-describedby"):
                assert name not in node.attributes or node.attributes[name] in identifiers

    def test_the_same_results_give_the_same_bytes(self) -> None:
        program = (
            "import hashlib; from tests.factories import results; "
            "from initbench.leaderboard.page import build_page; "
            "print(hashlib.sha256(build_page([results(seeds=3)]).encode()).hexdigest())"
        )
        here = hashlib.sha256(build_page([results(seeds=3)]).encode()).hexdigest()
        assert run(program, PYTHONHASHSEED="1") == run(program, PYTHONHASHSEED="2") == here

    def test_making_it_needs_neither_torch_nor_scipy(self) -> None:
        program = (
            "import sys; import initbench.leaderboard.page; "
            "print({'torch', 'scipy', 'statsmodels', 'mlflow'} & {*sys.modules})"
        )
        assert run(program) == "set()"


def run(program: str, **environment: str) -> str:
    """Run a program in a Python of its own and return what it prints."""
    command = [sys.executable, "-c", program]
    finished = subprocess.run(
        command, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True
    )
    return finished.stdout.strip()


HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style></title><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "' autofocus onfocus='alert(1)",
    "]]></svg><svg onload=alert(1)>",
    "<!-- --!> <![CDATA[",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "&lt;b&gt;&#60;i&#62;",
    "\u202egro.elpmaxe\u2066",
    "\x00\x1b[31m\ud800\u2028",
    "x" * 5000,
]


def build_all(suite: SuiteResults, text: str) -> str:
    """Build a page in which every part of the template appears."""
    return build_page([suite], title=text, generated_from=text, left_out={text: text})


@pytest.fixture(scope="module")
def plain() -> SuiteResults:
    """Results that fill every field."""
    plain = results(initialisers=SMALL, seeds=3, notes=["note"], profile="smoke", reduced=True)
    return dataclasses.replace(
        plain,
        rows=[
            dataclasses.replace(
                row, note=f"note {i}", direction="lower", limit=1e3 if row.unit == "steps" else None
            )
            for i, row in enumerate(plain.rows)
        ],
        between_others=between(plain, "he", "lsuv"),
        comparisons=[
            dataclasses.replace(
                c,
                note=f"note {i}",
                sensitivity={"a": {"b": 0.1}, "c": "text"},
            )
            for i, c in enumerate(plain.comparisons)
        ],
    )


@pytest.fixture(scope="module")
def innocent(plain: SuiteResults) -> Structure:
    return structure(parse(build_all(plain, "text")))


class TestHostileNames:
    @pytest.mark.parametrize("payload", HOSTILE, ids=lambda p: ascii(p)[:24])
    def test_no_text_adds_an_element_or_an_attribute(
        self, plain: SuiteResults, innocent: Structure, payload: str
    ) -> None:
        text = build_all(poisoned(plain, payload), payload)
        text.encode()  # no lone surrogate is left
        assert structure(parse(text)) == innocent

    def test_empty_texts_do_no_harm(self, plain: SuiteResults) -> None:
        parse(build_all(poisoned(plain, ""), ""))

    def test_what_was_poisoned_is_on_the_page(self) -> None:
        name = '<b id="x">'
        page = parse(build_page([poisoned(results(initialisers=SMALL, seeds=2), name)]))
        assert f"{name}he" in [bdi.text for bdi in page.all("bdi")]
        assert f"{name}he" in [t.text for t in page.all("text")]

    @pytest.mark.parametrize("url", ["javascript:alert(1)", "http://example.org", "data:,x", None])
    def test_other_addresses_are_no_links(self, suite: SuiteResults, url: str | None) -> None:
        citations = {name: {**cited, "url": url} for name, cited in suite.citations.items()}
        data = {name: dataclasses.replace(facts, url=url) for name, facts in suite.datasets.items()}
        page = parse(build_page([dataclasses.replace(suite, citations=citations, datasets=data)]))
        assert all((a.attributes["href"] or "").startswith("#") for a in page.all("a"))

    def test_the_data_cannot_end_their_script_element(self) -> None:
        text = build_page([poisoned(results(initialisers=SMALL, seeds=2), "</script><!--<script>")])
        data = text.split('<script type="application/json" id="page--data">')[1].split("</script>")[
            0
        ]
        assert not set("<>&") & set(data)
        assert json.loads(data)["suites"][0]["title"].startswith("</script><!--<script>")


class TestTables:
    def test_every_mean_can_be_computed_from_the_data_on_the_page(self, page: Node) -> None:
        [embedded] = json.loads(page.all("script")[0].text)["suites"]
        shown = [lines(table) for table in tables(page)]
        measures = list(dict.fromkeys(row["measure"] for row in embedded["rows"]))
        for row in embedded["rows"]:
            values = [float(value) for value in row["values"].values()]
            mean = fmean(values) if all(map(math.isfinite, values)) else None
            cell = shown[measures.index(row["measure"])][row["initialiser"]][2]
            assert cell.split()[0] == formatting.value(mean, row["unit"])

    def test_infinite_values_survive_in_the_data(self, page: Node) -> None:
        [embedded] = json.loads(page.all("script")[0].text)["suites"]
        [missed] = [
            row
            for row in embedded["rows"]
            if row["initialiser"] == "slice_vae" and row["unit"] == "steps"
        ]
        assert missed["values"]["0"] == "Infinity"

    def test_lines_stand_in_the_order_of_their_means(self, page: Node, suite: SuiteResults) -> None:
        for table, measure in zip(tables(page), ("test_accuracy", "validation_loss"), strict=False):
            rows = [row for row in suite.rows if row.measure == measure]
            best = sorted(rows, key=lambda r: r.mean or 0, reverse=measure == "test_accuracy")
            assert list(lines(table)) == [row.initialiser for row in best]

    def test_without_a_mean_the_median_is_shown_and_the_line_comes_last(self) -> None:
        page = parse(build_page([results(initialisers=SMALL, seeds=5)]))
        steps = lines(tables(page)[2])
        assert list(steps)[-1] == "slice_vae"
        assert re.fullmatch(r"– median \d+", steps["slice_vae"][2])

    @pytest.mark.parametrize("verdict", verdicts())
    def test_verdicts_are_signs_and_words(self, suite: SuiteResults, verdict: str) -> None:
        judged = [
            dataclasses.replace(
                c, verdict=verdict, more_seeds=12 if verdict == "undecided" else None
            )
            for c in suite.comparisons
        ]
        page = parse(build_page([dataclasses.replace(suite, comparisons=judged)]))
        mark = formatting.verdict_mark(verdict)
        expected = f"{mark} about 12 seeds more" if verdict == "undecided" else str(mark)
        for table in tables(page):
            shown = {name: cells[6] for name, cells in lines(table).items()}
            assert shown.pop("default") == "reference"
            cells = {cell.replace("undecidedabout", "undecided about") for cell in shown.values()}
            assert cells == {expected}
        assert f"{mark.sign} 3 {mark.word}" in " ".join(page.text.split())

    def test_trials_and_failures_are_counted(self, page: Node) -> None:
        shown = lines(tables(page)[0])
        assert shown["lsuv"][-2:] == ["4", "1"]
        assert shown["he"][-2:] == ["4", "0"]

    def test_a_measure_that_nobody_compared_has_no_columns_for_it(self) -> None:
        page = parse(build_page([results(initialisers=SMALL, seeds=3, comparisons=[])]))
        assert all(len(cells) == 5 for table in tables(page) for cells in lines(table).values())
        assert not page.all("span", class_="tally")

    def test_a_note_that_holds_for_all_lines_is_said_once(self, suite: SuiteResults) -> None:
        rows = [dataclasses.replace(row, note="of rows") for row in suite.rows]
        comparisons = [dataclasses.replace(c, note="of pairs") for c in suite.comparisons]
        noted = dataclasses.replace(suite, rows=rows, comparisons=comparisons)
        page = parse(build_page([noted]))
        said = [n.text for n in page.all("small", class_="remark") if "of " in n.text]
        assert said == ["of rows; of pairs"] * len(tables(page))

    def test_a_note_of_one_line_stands_in_that_line(self, suite: SuiteResults) -> None:
        rows = [
            dataclasses.replace(row, note="a remark") if row.initialiser == "he" else row
            for row in suite.rows
        ]
        page = parse(build_page([dataclasses.replace(suite, rows=rows)]))
        for table in tables(page):
            assert [n for n, cells in lines(table).items() if "a remark" in cells[2]] == ["he"]

    def test_scope_and_source_stand_beside_the_name(self, page: Node) -> None:
        assert lines(tables(page)[0])["slice_vae"][1] == "local"
        [source] = [li for li in page.all("li") if "Delving deep" in li.text]
        assert source.all("a")[0].attributes["href"] == "https://arxiv.org/abs/1502.01852"
        names = [th for th in page.all("th", class_="name") if th.text.startswith("he")]
        target = f"#{source.attributes['id']}"
        assert all(th.all("a")[0].attributes["href"] == target for th in names)


class TestSuites:
    def test_conditions_and_command(self, page: Node) -> None:
        conditions = dict(
            zip(
                [dt.text for dt in page.all("dl", class_="conditions")[0].all("dt")],
                [dd.text for dd in page.all("dl", class_="conditions")[0].all("dd")],
                strict=True,
            )
        )
        assert conditions["Reference"] == "default"
        assert conditions["Test"] == "paired t-test on shared seeds"
        assert conditions["Seeds"] == "4 (0–3)"
        assert conditions["Trials"] == "16 done"
        assert "test_accuracy: 0.50 points" in conditions["Margins of equivalence"]
        assert page.all("code")[0].text == "initbench run quickstart"

    def test_a_reduced_profile_is_marked_wherever_numbers_are(self) -> None:
        reduced = results(initialisers=SMALL, seeds=2, profile="smoke", reduced=True)
        page = parse(build_page([reduced]))
        places = [
            *page.all("div", class_="caption"),
            *page.all("figcaption"),
            *page.all("section", class_="board")[0].all("h3"),
        ]
        assert len(places) >= 8
        for place in places:
            assert [mark.text for mark in place.all("span", class_="reduced")] == [
                "reduced profile smoke"
            ]

    def test_a_whole_suite_has_no_such_mark(self, page: Node) -> None:
        assert not page.all("span", class_="reduced")

    def test_runs_of_one_suite_are_numbered_with_their_options(self, suite: SuiteResults) -> None:
        command = f"initbench run {suite.suite} --profile tiny --seeds 5"
        fewer = dataclasses.replace(suite, profile="tiny", command=command)
        again = dataclasses.replace(suite, profile="tiny")
        page = parse(build_page([suite, fewer, again]))
        (contents,) = page.all("nav")
        apart = [item.text.replace(suite.title, "").strip() for item in contents.all("li")]
        assert apart[:3] == ["", "run 1 of 2: --seeds 5", "run 2 of 2"]
        eyebrow = page.all("p", class_="eyebrow")[2].text
        assert "run 1 of 2: --seeds 5" in eyebrow

    def test_many_suites_with_the_same_name_have_their_own_anchors(self) -> None:
        small = results(initialisers=("default", "he"), seeds=2)
        page = parse(build_page([small, small, dataclasses.replace(small, profile="smoke")]))
        anchors = [s.attributes["id"] for s in page.all("section", class_="suite")]
        assert anchors == ["quickstart--1", "quickstart--2", "quickstart-smoke"]
        identifiers = [n.attributes["id"] for n in page.walk() if "id" in n.attributes]
        assert len(identifiers) == len(set(identifiers))

    @pytest.mark.parametrize("name", ["data", "save", "page", "reading", "page--data"])
    def test_no_name_of_a_suite_takes_an_anchor_of_the_page(self, name: str) -> None:
        page = parse(build_page([results(initialisers=SMALL, seeds=2, suite=name)] * 2))
        identifiers = [n.attributes["id"] for n in page.walk() if "id" in n.attributes]
        assert len(identifiers) == len(set(identifiers))
        [script] = [n for n in page.walk() if n.attributes.get("id") == "page--data"]
        assert script.tag == "script"

    def test_a_measure_that_a_cell_lacks_has_no_table_there(self) -> None:
        two = results(initialisers=SMALL, seeds=2, datasets=("digits", "usps"))
        rows = [r for r in two.rows if (r.dataset, r.measure) != ("usps", "test_accuracy")]
        page = parse(build_page([dataclasses.replace(two, rows=rows)]))
        [digits, usps] = page.all("section", class_="board")
        assert [len(tables(board)) for board in (digits, usps)] == [3, 2]
        places = [d.attributes["data-measure"] for d in usps.all("div", class_="measure")]
        assert places == ["1", "2"]

    def test_failures_are_listed_with_their_message(self, page: Node) -> None:
        [message] = page.all("td", class_="message")
        assert message.text == "validation loss is NaN after 264 steps (epoch 6)"

    def test_what_is_missing_has_a_listed_reason(self, suite: SuiteResults) -> None:
        without = [
            dataclasses.replace(row, n=1, missing=3, note="2 lost")
            if row.initialiser == "he"
            else row
            for row in suite.rows
            if row.initialiser != "lsuv"
        ]
        page = parse(
            build_page([dataclasses.replace(suite, rows=without)], left_out={"old": "no `x` here"})
        )
        reasons = [li.text for ul in page.all("ul", class_="missing") for li in ul.all("li")]
        assert reasons == [
            "he: 3 of 4 trials have no outcome (2 lost)",
            "lsuv: not planned for this model and data set",
            "old: no `x` here",
        ]
        assert lines(tables(page)[0])["he"][-2] == "1 of 4"

    def test_environments_that_differ_are_counted(self, suite: SuiteResults) -> None:
        mixed = {"torch": {"2.11.0": 12, "2.12.0": 4}, "device": {"cpu": 16}}
        page = parse(build_page([dataclasses.replace(suite, environment=mixed)]))
        shown = [dd.text for dd in page.all("dl", class_="environment")[0].all("dd")]
        assert shown == ["2.11.0 (12 trials), 2.12.0 (4 trials)", "cpu"]

    def test_data_sets_are_described_and_unofficial_ones_marked(self, suite: SuiteResults) -> None:
        (facts,) = suite.datasets.values()
        marked = dataclasses.replace(facts, marks=["unofficial data"])
        page = parse(build_page([dataclasses.replace(suite, datasets={"digits": marked})]))
        [described] = page.all("dl", class_="datasets")
        assert "1,197 / 300 / 300 images" in described.text
        assert facts.licence in described.text
        board = page.all("section", class_="board")[0]
        assert [h3.text for h3 in board.all("h3")] == ["zoo_cnn on digits unofficial data"]
        captions = board.all("figcaption") + board.all("div", class_="caption")
        assert all("unofficial data" in caption.text for caption in captions)

    def test_coverage_and_cost(self, page: Node) -> None:
        [table] = [t for t in page.all("table") if "Paid back after" in t.text]
        shown = lines(table)
        assert shown["default"][1] == "100 % untouched"
        assert shown["slice_vae"][1:] == [
            "87 % generated, 2 % rule, 11 % fallback",
            "2.0 s",
            "0.020 s",
            "1 min 24 s",
            "1 h 30 min",
            "1,210",
        ]

    def test_energy_is_shown_where_it_was_measured(self, suite: SuiteResults) -> None:
        cost = [
            {**c, "energy_joules": 1234.5 if c["initialiser"] == "he" else None} for c in suite.cost
        ]
        page = parse(build_page([dataclasses.replace(suite, cost=cost)]))
        [table] = [t for t in page.all("table") if "Paid back after" in t.text]
        assert "Energy" in table.all("thead")[0].text
        assert lines(table)["he"][3] == "1.2 kJ"
        assert lines(table)["default"][3] == "–"

    def test_layers_are_drawn_beside_the_measure_that_shows_them(self, suite: SuiteResults) -> None:
        def band(initialiser: str) -> LayerBand:
            numbers = [0.1, 0.2]
            return LayerBand(
                initialiser=initialiser,
                model="zoo_cnn",
                dataset="digits",
                measure="validation_loss",
                unit="nats",
                logarithmic=False,
                layers=["conv1", "conv2"],
                median=list(numbers),
                low=list(numbers),
                high=list(numbers),
                n=3,
                notes=["1 of 3 layers are not seen"] if initialiser == "he" else [],
            )

        bands = [band("default"), band("he")]
        page = parse(build_page([dataclasses.replace(suite, layers=bands)]))
        [figure] = [f for f in page.all("figure") if "by layer" in f.text]
        assert figure.attributes["data-measure"] == "1"
        assert "he: 1 of 3 layers are not seen" in figure.text
        assert "conv2" in figure.text

    def test_comparisons_of_others_stand_apart_from_those_with_the_reference(
        self, suite: SuiteResults
    ) -> None:
        found = between(suite, "he", "lsuv")
        page = parse(build_page([dataclasses.replace(suite, family="all", between_others=found)]))
        apart = [d for d in page.all("details") if "Differences between the others" in d.text]
        assert len(apart) == len(suite.comparisons) / 3
        [line] = apart[0].all("tbody")[0].all("tr")
        cells = [" ".join(cell.text.split()) for cell in line.all("td")]
        assert (line.all("th")[0].text, cells[0]) == ("he", "lsuv")
        assert cells[1].startswith(formatting.difference(found[0].difference, "fraction"))
        assert str(formatting.verdict_mark(found[0].verdict)) in cells[3]
        assert "of two others" in cells[1]
        assert "all others with each other" in page.text
        without = parse(build_page([suite]))
        assert "Differences between the others" not in without.text

    def test_a_verdict_between_others_decides_their_ranks(self, suite: SuiteResults) -> None:
        names = ("he", "lsuv")
        judged = [
            dataclasses.replace(c, verdict="better", more_seeds=None)
            for c in between(suite, *names)
        ]
        rows = [dataclasses.replace(r, low=0.0, high=1e6) for r in suite.rows]
        told = dataclasses.replace(suite, rows=rows, comparisons=[], between_others=judged)
        table = tables(parse(build_page([told])))[0]
        assert {n: c[0] for n, c in lines(table).items() if n in names} == {
            "he": "1–3",
            "lsuv": "2–4",
        }

    def test_who_reached_a_target_is_drawn_beside_the_measure_that_has_one(
        self, suite: SuiteResults
    ) -> None:
        rows = [dataclasses.replace(r, limit=600.0) if r.unit == "steps" else r for r in suite.rows]
        compared = [
            dataclasses.replace(c, sensitivity={"log_rank_p": 0.0312}) for c in suite.comparisons
        ]
        page = parse(build_page([dataclasses.replace(suite, rows=rows, comparisons=compared)]))
        [figure] = [f for f in page.all("figure") if "Who got there" in f.text]
        assert figure.attributes["data-measure"] == "2"
        assert "log-rank test against default, p not corrected: he 0.031" in figure.text

    def test_the_noise_of_the_test_set_is_said_in_words(self, suite: SuiteResults) -> None:
        seen = {"images": 360, "difference": 0.012, "low": 0.001, "high": 0.02, "mcnemar_p": None}
        compared = [
            dataclasses.replace(c, sensitivity={"test_images": seen}) for c in suite.comparisons
        ]
        page = parse(build_page([dataclasses.replace(suite, comparisons=compared)]))
        said = "over 360 test images, for these very networks: +1.20 [+0.10, +2.00] points"
        assert said in page.text

    def test_times_of_a_shared_device_are_marked(self, suite: SuiteResults) -> None:
        def shown(shared: set[str]) -> tuple[str, list[str]]:
            cost = [{**c, "exclusive": c["initialiser"] not in shared} for c in suite.cost]
            page = parse(build_page([dataclasses.replace(suite, cost=cost)]))
            [table] = [t for t in page.all("table") if "Paid back after" in t.text]
            marked = [name for name, cells in lines(table).items() if "shared" in cells[2]]
            return table.all("thead")[0].text, marked

        heading, marked = shown({"he"})
        assert "shared" not in heading
        assert marked == ["he"]
        heading, marked = shown(set(SMALL))
        assert "wall clock, shared" in heading
        assert marked == []


class TestLittleOrNothing:
    def test_no_suite(self) -> None:
        assert "There are no results yet." in parse(build_page([])).text

    def test_a_suite_without_rows(self) -> None:
        empty = results(initialisers=(), seeds=0)
        assert "No trial of this suite has run yet." in parse(build_page([empty])).text

    def test_cells_without_a_trial(self) -> None:
        page = parse(build_page([results(initialisers=SMALL, seeds=0)]))
        for table in tables(page):
            assert all(cells[2] == "–" for cells in lines(table).values())

    def test_one_seed(self) -> None:
        page = parse(build_page([results(initialisers=SMALL, seeds=1)]))
        assert all(
            re.fullmatch(r"\d+\.\d\d", cells[2]) for cells in lines(tables(page)[0]).values()
        )

    def test_nothing_but_the_rows(self, suite: SuiteResults) -> None:
        bare = dataclasses.replace(
            suite,
            citation=None,
            comparisons=[],
            curves=[],
            coverage=[],
            cost=[],
            failures=[],
            citations={},
            trials={},
            environment={},
            margins={},
        )
        page = parse(build_page([bare]))
        assert set(lines(tables(page)[0])) == set(SMALL)
        captions = [figure.all("figcaption")[0].text for figure in page.all("figure")]
        assert captions  # box plots, which are made from rows alone
        assert all(caption.startswith("All values") for caption in captions)
        assert "no trial diverged, failed or was lost" in page.text


def sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def structure(page: Node) -> Structure:
    """Everything about a page but its texts: tags, names of attributes, classes."""
    return [
        (node.tag, tuple(node.attributes), node.attributes.get("class"))
        for node in page.walk()
        if node.tag != "wbr"  # only where a name has an underscore
    ]


def poisoned(tree: Any, payload: str, field: str = "") -> Any:
    """Put the payload before every text of the results, whichever field it stands in."""
    if isinstance(tree, str):
        return poisoned_text(tree, payload, field)
    if isinstance(tree, list):
        return [poisoned(item, payload, field) for item in tree]
    if isinstance(tree, dict):
        # Keys are texts too, where they are names: of initialisers, measures, versions, tests.
        return {
            f"{payload}{k}" if isinstance(k, str) and field in NAMED_BY_KEYS else k: poisoned(
                v, payload, str(k) if field not in NAMED_BY_KEYS else f"{field} entry"
            )
            for k, v in tree.items()
        }
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = {f.name: getattr(tree, f.name) for f in dataclasses.fields(tree)}
        return type(tree)(**{k: poisoned(v, payload, k) for k, v in fields.items()})
    return tree


NAMED_BY_KEYS = {"citations", "margins", "environment", "environment entry", "trials"} | {
    "sensitivity",
    "sensitivity entry",
}


def poisoned_text(text: str, payload: str, field: str) -> str:
    if field == "verdict":
        return text  # one of four, whoever wrote it
    if field == "url":
        return f"https://example.org/?{'x' if not payload.isascii() else ''.join(payload.split())}"
    return f"{payload}{text}" if payload else ""
