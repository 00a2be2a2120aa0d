"""Profiles, `--set`, `--seeds` and `--only`."""

from __future__ import annotations

import contextlib
import shlex
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.errors import UserError
from initbench.suite.load import LoadedSuite, label_of, load_suite
from initbench.suite.overrides import format_seeds, parse_seeds
from initbench.suite.schema_export import json_schema
from tests.suite.worlds import edited, load, refusal

DISJOINT = [
    "title=Other",
    "recipe.epochs=7",
    "recipe.optimiser.lr=1e-3",
    "initialisers[1].mode=fan_in",
    "initialisers.he.distribution=uniform",
    "seeds=[4, 2]",
    "comparisons.margins.test_accuracy=0.02",
    "comparisons.test=welch",
    "datasets[0].label=Digits (8 x 8)",
]


def again(command: str) -> LoadedSuite:
    """Load what a command would run."""
    program, verb, name, *words = shlex.split(command)
    assert (program, verb) == ("initbench", "run")
    options: dict[str, list[str]] = {"--profile": [], "--set": [], "--only": []}
    for option, value in zip(words[::2], words[1::2], strict=True):
        options[option].append(value)
    profile = options["--profile"][0] if options["--profile"] else None
    return load_suite(name, profile=profile, overrides=options["--set"], only=options["--only"])


class TestProfile:
    def test_it_replaces_lists_and_merges_recipe_and_comparisons(self) -> None:
        suite = load(profile="smoke").suite
        assert suite.seed_list == [0]
        assert (suite.recipe.name, suite.recipe.config) == ("digits_quick", {"epochs": 2})
        assert suite.comparisons.test == "welch"
        assert suite.comparisons.reference == "default"
        assert suite.comparisons.margins == {"test_accuracy": 0.01}

    def test_a_recipe_with_a_name_replaces_the_whole_recipe(self) -> None:
        text = edited(("{epochs: 2}", "{name: other, batch_size: 8}"))
        recipe = load(text, profile="smoke").suite.recipe
        assert (recipe.name, recipe.config) == ("other", {"batch_size": 8})
        assert load(edited(("{epochs: 2}", "other")), profile="smoke").suite.recipe.name == "other"

    def test_an_optimiser_with_a_name_replaces_the_whole_optimiser(self) -> None:
        text = edited(
            ("epochs: 5", "epochs: 5, optimiser: {name: sgd, lr: 1, momentum: 0.9}"),
            ("{epochs: 2}", "{optimiser: {name: adam, lr: 2}}"),
        )
        config = load(text, profile="smoke").suite.recipe.config
        assert config == {"epochs": 5, "optimiser": {"name": "adam", "lr": 2}}

    def test_its_results_are_marked_as_reduced_unless_it_says_no(self) -> None:
        assert not load().reduced
        assert load(profile="smoke").reduced
        assert not load(edited(("    seeds: 1", "    reduced: false")), profile="smoke").reduced

    def test_an_unknown_one(self) -> None:
        expected = "suite.yaml: unknown profile `smok`; did you mean `smoke`?"
        assert refusal(profile="smok") == expected

    def test_a_suite_without_any(self) -> None:
        text = edited()[: edited().index("profiles:")]
        assert refusal(text, profile="smoke") == (
            "suite.yaml: unknown profile `smoke`; this suite has no profiles"
        )

    def test_the_command_line_has_the_last_word(self) -> None:
        assert load(profile="smoke", overrides=["seeds=4"]).seeds == [0, 1, 2, 3]


class TestSet:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("recipe.epochs=9", lambda s: s.recipe.config["epochs"] == 9),
            ("recipe.optimiser.lr=1e-3",
             lambda s: s.recipe.config.get("optimiser") == {"lr": 0.001}),
            ("recipe=other", lambda s: (s.recipe.name, s.recipe.config) == ("other", {})),
            ("seeds=2", lambda s: s.seed_list == [0, 1]),
            ("initialisers[2].mode=fan_in",
             lambda s: s.initialisers[2].config.get("mode") == "fan_in"),
            ("initialisers.he.label=He", lambda s: label_of(s.initialisers[2]) == "He"),
            ("initialisers.he(mode=fan_out).mode=x",
             lambda s: s.initialisers[1].config.get("mode") == "x"),
            ("models=[mlp, zoo_cnn]", lambda s: [m.name for m in s.models] == ["mlp", "zoo_cnn"]),
            ("models[0]=mlp", lambda s: s.models[0].name == "mlp"),
            ("datasets.digits.size=16", lambda s: s.datasets[0].config.get("size") == 16),
            ("measures.test_accuracy.checkpoint=last",
             lambda s: s.measures[0].config.get("checkpoint") == "last"),
            ("comparisons.margins.test_accuracy=0.02",
             lambda s: s.comparisons.margins["test_accuracy"] == 0.02),
            ('comparisons.margins."steps_to_0.9"=5',
             lambda s: s.comparisons.margins.get("steps_to_0.9") == 5),
            ("comparisons.confidence=0.9", lambda s: s.comparisons.confidence == 0.9),
            ("title=A title, with a comma", lambda s: s.title == "A title, with a comma"),
            ("citation=", lambda s: s.citation is None),
        ],
    )  # fmt: skip
    def test_each_documented_form_has_an_effect(self, text: str, value: Any) -> None:
        before = edited(("title: Small", "title: Small\ncitation: A paper"))
        assert not value(load(before).suite)
        assert value(load(before, overrides=[text]).suite)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("recipe.epochs=abc",
             "from --set recipe.epochs=abc: `recipe.epochs`: expected a whole number of at least "
             '1, got the string "abc"'),
            ("recipe.epoch=3",
             "from --set recipe.epoch=3: `recipe.epoch`: unknown key; did you mean `epochs`?"),
            ("recpie.epochs=3",
             "from --set recpie.epochs=3: `recpie`: unknown key; did you mean `recipe`?"),
            ("comparisons.marigns.x=3",
             "from --set comparisons.marigns.x=3: `comparisons.marigns`: unknown key; did you "
             "mean `margins`?"),
            ("comparisons.reference=hee",
             "from --set comparisons.reference=hee: `comparisons.reference`: no initialiser has "
             "the label `hee`; did you mean `he`?"),
            ("seeds.count=3",
             "from --set seeds.count=3: `seeds` is the number 3, nothing is below it; set it as a "
             "whole"),
            ("seeds=1e1",
             "from --set seeds=1e1: `seeds`: expected a whole number of at least 1 and at most "
             "100000, got the number 10.0"),
            ("initialisers.hee.mode=3",
             "from --set initialisers.hee.mode=3: `initialisers` has no item `hee`; did you mean "
             "`he`?"),
            ("initialisers[3].mode=3",
             "from --set initialisers[3].mode=3: `initialisers` has 3 items, counted from [0]; "
             "got [3]"),
            ("recipe[0]=3",
             "from --set recipe[0]=3: `recipe` is not a list; name a key of it, or set it as a "
             "whole"),
            ("recipe.schedule.milestones[0]=3",
             "from --set recipe.schedule.milestones[0]=3: `recipe.schedule.milestones` is not a "
             "list; name a key of it, or set it as a whole"),
            ("title=a: b",
             "from --set title=a: b: `title`: expected one line of text, got a mapping"),
            ("title=[a", "from --set title=[a: not valid YAML: expected ',' or ']', but got "
             "'<stream end>' (while parsing a flow sequence)"),
            ("seeds", "`--set seeds`: expected PATH=VALUE, such as `--set recipe.epochs=3`"),
            ("=3", "`--set =3`: expected PATH=VALUE, such as `--set recipe.epochs=3`"),
            ("profiles.smoke.seeds=3",
             "`--set profiles.smoke.seeds=3`: profiles are chosen, with --profile, not changed"),
            (".".join("a" * 41) + "=1",
             "`--set a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a...`: a path of "
             "more than 40 steps"),
        ],
    )  # fmt: skip
    def test_mistakes_point_to_the_option(self, text: str, message: str) -> None:
        assert refusal(overrides=[text]) == message

    def test_a_change_is_located_where_it_was_made(self) -> None:
        loaded = load(overrides=["recipe.epochs=4"])
        assert loaded.locate("recipe.epochs") == "from --set recipe.epochs=4"
        assert loaded.locate("recipe.name") == "suite.yaml:9:16"

    def test_the_file_has_to_be_right_without_the_change(self) -> None:
        text = edited(("seeds: 3", "seeds: 0"))
        assert "`seeds`" in refusal(text, overrides=["seeds=3"])

    def test_the_later_of_two_changes_wins_and_is_the_only_one_recorded(self) -> None:
        loaded = load(overrides=["recipe.epochs=4", "recipe=other", "seeds=1", "seeds=2"])
        assert loaded.overrides == ["recipe=other", "seeds=2"]
        assert loaded.suite.recipe.config == {}

    @pytest.mark.parametrize("pair", list(combinations(range(len(DISJOINT)), 2)))
    def test_changes_of_different_parts_commute(self, pair: tuple[int, int]) -> None:
        texts = [DISJOINT[i] for i in pair]
        one, other = load(overrides=texts), load(overrides=texts[::-1])
        assert one.suite == other.suite
        assert sorted(one.overrides) == sorted(other.overrides)
        assert len(one.overrides) == 2

    @pytest.mark.parametrize(
        "same",
        [
            ["seeds=[0, 1, 2, 3]", "seeds=4"],
            ["initialisers.he.mode=fan_in", "initialisers[2].mode=fan_in"],
            ["recipe.optimiser.lr=1e-3", "recipe.optimiser.lr=0.001"],
            ["title=Other", "title='Other'"],
        ],
    )
    def test_ways_to_say_the_same_have_one_text(self, same: list[str]) -> None:
        assert len({tuple(load(overrides=[text]).overrides) for text in same}) == 1

    @given(
        path=st.text('abc.[]0"()=, ', max_size=12)
        | st.sampled_from([text.split("=")[0] for text in DISJOINT])
        | st.sampled_from(list(json_schema()["properties"])),
        value=st.text(max_size=12) | st.sampled_from(["[1]", "{a: b}", "&a [*a]", "!x", "\t"]),
    )
    def test_nothing_raises_anything_but_a_user_error(self, path: str, value: str) -> None:
        with contextlib.suppress(UserError):
            assert load(overrides=[f"{path}={value}"]).overrides


class TestSeeds:
    @pytest.mark.parametrize(
        ("given", "seeds", "text"),
        [
            ("5", [0, 1, 2, 3, 4], "seeds=5"),
            (5, [0, 1, 2, 3, 4], "seeds=5"),
            ("0-2", [0, 1, 2], "seeds=3"),
            ("3-5", [3, 4, 5], 'seeds={"first": 3, "count": 3}'),
            ("0,3,7", [0, 3, 7], "seeds=[0, 3, 7]"),
            ("0-2,7", [0, 1, 2, 7], "seeds=[0, 1, 2, 7]"),
            ("7,", [7], 'seeds={"first": 7, "count": 1}'),
            ([2, 1], [2, 1], "seeds=[2, 1]"),
            ([0], [0], "seeds=1"),
        ],
    )
    def test_counts_lists_and_ranges(self, given: Any, seeds: list[int], text: str) -> None:
        loaded = load(seeds=given)
        assert loaded.seeds == seeds
        assert loaded.overrides == [text]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ("0", "from --seeds 0: `seeds`: expected a whole number of at least 1 and at most "
             "100000, got the number 0"),
            ("1,1", "from --seeds 1,1: `seeds[1]`: the seed 1 is given twice"),
            ("5-3", "from --seeds 5-3: `5-3` has to rise and bring at most 100000 seeds"),
            ("0-999999", "from --seeds 0-999999: `0-999999` has to rise and bring at most 100000 "
             "seeds"),
            ("many", "from --seeds many: expected a count such as `5`, seeds such as `0,3,7` or a "
             "range such as `0-9`, got `many`"),
            ("-1", "from --seeds -1: expected a count such as `5`, seeds such as `0,3,7` or a "
             "range such as `0-9`, got `-1`"),
            ("", "from --seeds : expected a count such as `5`, seeds such as `0,3,7` or a range "
             "such as `0-9`, got ``"),
            ("1000000,", "from --seeds 1000000,: `seeds.first`: expected a whole number of at "
             "least 0 and below 1000000, got the number 1000000"),
            ([], "from seeds=[]: `seeds`: expected a list of at least 1 item, got an empty list"),
        ],
    )  # fmt: skip
    def test_mistakes(self, given: Any, message: str) -> None:
        assert refusal(seeds=given) == message

    @given(st.lists(st.integers(0, 30), min_size=1, unique=True))
    def test_formatted_seeds_read_as_they_were(self, seeds: list[int]) -> None:
        assert parse_seeds(format_seeds(seeds), "here") == seeds


class TestOnly:
    def labels(self, *only: str) -> list[str]:
        return [label_of(choice) for choice in load(only=only).suite.initialisers]

    def test_a_label_means_one_variant(self) -> None:
        assert self.labels("initialiser=default,he") == ["default", "he"]
        assert self.labels("initialiser=default,he(mode=fan_out)") == [
            "default",
            "he(mode=fan_out)",
        ]

    def test_a_name_that_is_no_label_means_all_its_variants(self) -> None:
        text = edited(("  - he\n", "  - {name: he, mode: fan_in}\n"))
        suite = load(text, only=["initialiser=default,he"]).suite
        assert len(suite.initialisers) == 3

    def test_several_of_one_kind_add_up_and_the_order_is_that_of_the_suite(self) -> None:
        assert self.labels("initialiser=he", "initialiser=default") == ["default", "he"]

    def test_seeds_are_chosen_among_those_of_the_suite(self) -> None:
        loaded = load(only=["seed=2,0"])
        assert loaded.seeds == [0, 2]
        assert loaded.overrides == ["only seed=0,2"]

    def test_the_text_is_canonical(self) -> None:
        one = load(only=["seed=0-1", "initialiser=he,default"])
        other = load(only=["initialiser=default,he", "seed=1", "seed=0"])
        assert one.overrides == other.overrides == ["only initialiser=default,he", "only seed=0-1"]

    def test_places_are_those_of_what_is_left(self) -> None:
        assert load(only=["initialiser=he"]).locate("initialisers[0]") == "suite.yaml:8:5"

    def test_without_the_reference_nothing_is_compared_and_a_note_says_so(self) -> None:
        loaded = load(only=["initialiser=he"])
        assert loaded.notes == [
            "the reference `default` is left out by `--only`, so nothing is compared; add it to "
            "compare the others with it"
        ]
        assert loaded.suite.comparisons.reference == "default"

    def test_without_the_reference_the_others_are_still_compared_where_all_are(self) -> None:
        loaded = load(only=["initialiser=he"], overrides=["comparisons.family=all"])
        assert loaded.notes[0].endswith("so the others are compared with each other only")
        assert load(only=["initialiser=he,default"]).notes == []

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("initialiser=hee", "from --only initialiser=hee: unknown initialiser `hee`; did you "
             "mean `he`?"),
            ("model=resnet", "from --only model=resnet: unknown model `resnet`; known: `zoo_cnn`"),
            ("init=he", "`--only init=he`: unknown kind `init`; did you mean `initialiser`?"),
            ("he", "`--only he`: expected KIND=NAMES, such as `--only initialiser=he,xavier`"),
            ("model=", "`--only model=`: expected KIND=NAMES, such as `--only "
             "initialiser=he,xavier`"),
            ("seed=7", "from --only seed=7: the suite has no seed 7; it has 0-2"),
            ("seed=x", "from --only seed=x: expected a count such as `5`, seeds such as `0,3,7` or "
             "a range such as `0-9`, got `x`"),
        ],
    )  # fmt: skip
    def test_mistakes(self, text: str, message: str) -> None:
        assert refusal(only=[text]) == message


@given(
    profile=st.sampled_from([None, "smoke"]),
    overrides=st.lists(st.sampled_from(DISJOINT), unique=True, max_size=4),
    seeds=st.sampled_from([None, "5", "3-5", "0,2,9"]),
    only=st.lists(
        st.sampled_from(["initialiser=default,he", "dataset=digits", "model=zoo_cnn"]), max_size=2
    ),
)
def test_the_recorded_command_reproduces_everything(
    profile: str | None, overrides: list[str], seeds: str | None, only: list[str]
) -> None:
    overrides = [text for text in overrides if "label" not in text and "distribution" not in text]
    loaded = load(profile=profile, overrides=overrides, seeds=seeds, only=only)
    repeated = again(loaded.command)
    assert repeated == loaded
