"""Every message whole: a change of wording is a conscious change."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from initbench.plugin.initialiser import Config
from initbench.suite.messages import ProblemsError, as_error, problems_of, validate
from initbench.suite.yaml_reader import read_document
from tests.suite.worlds import edited, refusal

NAME = "a name (letters, digits, `_`, `.`, `/`, `-`)"
RECIPE = "{name: digits_quick, epochs: 5}"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: Small", "titel: Small",
         "suite.yaml:1:1: `title`: missing; expected one line of text, for example `title: "
         '"Classical initialisers on digits"`\n'
         "suite.yaml:1:1: `titel`: unknown key; did you mean `title`?"),
        ("title: Small", "title: 2026",
         "suite.yaml:1:8: `title`: expected one line of text, got the number 2026; put it in "
         'quotes: "2026"'),
        ("title: Small", "title:",
         "suite.yaml:1:7: `title`: expected one line of text, got nothing"),
        ("title: Small", f"title: {'x' * 201}",
         "suite.yaml:1:8: `title`: expected one line of text of at most 200 characters, not 201, "
         f'got the string "{"x" * 57}..."'),
        ("question: Does it work?", 'question: ""',
         "suite.yaml:2:11: `question`: expected a string of at least 1 character, got the string "
         '""'),
        ("models: [zoo_cnn]\n", "",
         "suite.yaml:1:1: `models`: missing; expected a list of at least 1 item, for example "
         '`models: ["zoo_cnn"]`'),
        ("[zoo_cnn]", "zoo_cnn",
         "suite.yaml:3:9: `models`: expected a list of at least 1 item, got the string "
         '"zoo_cnn"; write it as a list: [zoo_cnn]'),
        ("[zoo_cnn]", "{name: zoo_cnn}",
         "suite.yaml:3:9: `models`: expected a list of at least 1 item, got a mapping; write it as "
         'a list: [{"name": "zoo_cnn"}]'),
        ("[zoo_cnn]", "[]",
         "suite.yaml:3:9: `models`: expected a list of at least 1 item, got an empty list"),
        ("[zoo_cnn]", "[3]",
         f"suite.yaml:3:10: `models[0]`: expected {NAME} or a mapping with `name`, got the number "
         "3"),
        ("[zoo_cnn]", "[{label: x}]",
         f"suite.yaml:3:10: `models[0].name`: missing; expected {NAME}"),
        ("[zoo_cnn]", "[zoo cnn]",
         f'suite.yaml:3:10: `models[0].name`: expected {NAME}, got the string "zoo cnn"'),
        ("[zoo_cnn]", "[{name: zoo_cnn, label: ''}]",
         "suite.yaml:3:33: `models[0].label`: expected one line of text without quotes, got the "
         'string ""'),
        ("seeds: 3", "seeds: ten",
         "suite.yaml:10:8: `seeds`: expected a mapping with `count`, a list of at least 1 item or "
         'a whole number of at least 1 and at most 100000, got the string "ten"'),
        ("seeds: 3", "seeds: 0",
         "suite.yaml:10:8: `seeds`: expected a whole number of at least 1 and at most 100000, got "
         "the number 0"),
        ("seeds: 3", "seeds: []",
         "suite.yaml:10:8: `seeds`: expected a list of at least 1 item, got an empty list"),
        ("seeds: 3", "seeds: [0, -1]",
         "suite.yaml:10:12: `seeds[1]`: expected a whole number of at least 0 and below 1000000, "
         "got the number -1"),
        ("seeds: 3", "seeds: [4, 2, 4]", "suite.yaml:10:15: `seeds[2]`: the seed 4 is given twice"),
        ("seeds: 3", "seeds: {first: 9}",
         "suite.yaml:10:8: `seeds.count`: missing; expected a whole number of at least 1 and at "
         "most 100000"),
        ("seeds: 3", "seeds: {count: '5', step: 2}",
         "suite.yaml:10:16: `seeds.count`: expected a whole number of at least 1 and at most "
         '100000, got the string "5"; leave out the quotes\n'
         "suite.yaml:10:21: `seeds.step`: unknown key; known: `first`, `count`"),
        ("seeds: 3", "seeds: {first: 999999, count: 2}",
         "suite.yaml:10:8: `seeds`: seeds are below 1000000; the last one here is 1000000"),
        ("  - he\n", "  - default\n",
         "suite.yaml:8:5: `initialisers[2]`: the label `default` is taken (by suite.yaml:6:5); "
         "take one of them out, or give one another `label`"),
        ("  - he\n", "  - {name: he, label: default}\n",
         "suite.yaml:8:5: `initialisers[2]`: the label `default` is taken (by suite.yaml:6:5); "
         "take one of them out, or give one another `label`"),
        ("[test_accuracy]", "[{name: test_accuracy, label: Accuracy}]",
         "suite.yaml:11:34: `measures[0].label`: a measure has no `label`; it is called what its "
         "configuration makes of it"),
        ("reference: default", "reference: defalt",
         "suite.yaml:12:26: `comparisons.reference`: no initialiser has the label `defalt`; did "
         "you mean `default`?"),
        ("reference: default, ", "",
         "suite.yaml:12:14: `comparisons.reference`: missing; expected a string, for example "
         "`reference: default`"),
        ("reference: default", "reference: default, test: pared_t",
         "suite.yaml:12:41: `comparisons.test`: expected `paired_t`, `welch` or `student_t`, got "
         'the string "pared_t"; did you mean `paired_t`?'),
        ("reference: default", "reference: default, family: everybody",
         "suite.yaml:12:43: `comparisons.family`: expected `reference` or `all`, got the string "
         '"everybody"'),
        ("reference: default", "reference: default, correction: no",
         "suite.yaml:12:47: `comparisons.correction`: expected `holm`, `bonferroni` or `none`, got "
         'the string "no"; did you mean `none`?'),
        ("reference: default", "reference: default, confidence: 95",
         "suite.yaml:12:47: `comparisons.confidence`: expected a number above 0.5 and below 1, got "
         "the number 95"),
        ("test_accuracy: 0.01", "test_accuracy: 0",
         "suite.yaml:12:60: `comparisons.margins.test_accuracy`: expected a number above 0, got "
         "the number 0"),
        ("    seeds: 1", "    sed: 1\n    reduced: no",
         "suite.yaml:15:5: `profiles.smoke.sed`: unknown key; did you mean `seeds` or "
         "`published`?\n"
         "suite.yaml:16:14: `profiles.smoke.reduced`: expected `true` or `false`, got the string "
         '"no"; write `false`'),
        ("  smoke:", "  smo ke:",
         "suite.yaml:14:3: `profiles.smo ke`: expected the key to be " + NAME),
        # A profile is checked applied to the suite, its mistakes where they were written.
        ("{epochs: 2}", "{epochs: two}",
         "suite.yaml:16:22: `recipe.epochs`: expected a whole number of at least 1, got the string "
         '"two" (in profile `smoke`)'),
        ("{test: welch}", "{referense: he}",
         "suite.yaml:17:19: `comparisons.referense`: unknown key; did you mean `reference`? (in "
         "profile `smoke`)"),
        ("    seeds: 1", "    initialisers: [he]",
         "suite.yaml:12:26: `comparisons.reference`: no initialiser has the label `default`; "
         "known: `he` (in profile `smoke`)"),
    ],
)  # fmt: skip
def test_mistakes_in_a_suite(old: str, new: str, message: str) -> None:
    assert refusal(edited((old, new))) == message


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("{name: digits_quick, epoch: 3}",
         "suite.yaml:9:30: `recipe.epoch`: unknown key; did you mean `epochs`?"),
        ("{name: digits_quick, epochs: 012}",
         "suite.yaml:9:38: `recipe.epochs`: expected a whole number of at least 1, got the string "
         '"012"; numbers are decimal, without leading zeros, `_`, `:` or units'),
        ("{name: digits_quick, epochs: 1e1}",
         "suite.yaml:9:38: `recipe.epochs`: expected a whole number of at least 1, got the number "
         "10.0"),
        ("{name: digits_quick, augmentation: {flip: yes}}",
         "suite.yaml:9:51: `recipe.augmentation.flip`: expected `true` or `false`, got the string "
         '"yes"; write `true`'),
        ("{name: digits_quick, optimiser: sgd}",
         "suite.yaml:9:41: `recipe.optimiser`: expected a mapping with `name`, `lr`, got the "
         'string "sgd"'),
        ("{optimiser: {name: adam, lr: 1e-3}, epochs: 2}",
         "suite.yaml:9:9: `recipe.batch_size`: missing; expected a whole number of at least 1"),
        ("{optimiser: {name: sdg, lr: 1}, epochs: 2, batch_size: 8}",
         "suite.yaml:9:28: `recipe.optimiser.name`: expected `sgd`, `adam` or `adamw`, got the "
         'string "sdg"; did you mean `sgd`?'),
        ("{optimiser: {lr: 1}, epochs: 2, batch_size: 8}",
         "suite.yaml:9:21: `recipe.optimiser.name`: missing; expected `sgd`, `adam` or `adamw`"),
        ("{optimiser: {name: sgd, lr: abc}, epochs: 2, batch_size: 8}",
         'suite.yaml:9:37: `recipe.optimiser.lr`: expected a number above 0, got the string "abc"'),
        ("{optimiser: {name: sgd, lr: 1, betas: [0, 1]}, epochs: 2, batch_size: 8}",
         "suite.yaml:9:40: `recipe.optimiser.betas`: unknown key; known: `name`, `lr`, "
         "`momentum`, `nesterov`, `weight_decay`"),
        ("{optimiser: {name: adam, lr: 1, betas: [0.5]}, epochs: 2, batch_size: 8}",
         "suite.yaml:9:48: `recipe.optimiser.betas`: expected a list of 2 items, got a list of 1 "
         "item"),
        ("{optimiser: {name: sgd, lr: 1, nesterov: true}, epochs: 2, batch_size: 8}",
         "suite.yaml:9:21: `recipe.optimiser`: `nesterov` needs a `momentum` above 0"),
        ("{name: digits_quick, scale: 0}",
         "suite.yaml:9:37: `recipe.scale`: expected a number above 0 and at most 1, got the number "
         "0"),
        ("[digits_quick]",
         f"suite.yaml:9:9: `recipe`: expected {NAME} or a mapping, got a list of 1 item"),
    ],
)  # fmt: skip
def test_mistakes_in_a_recipe(recipe: str, message: str) -> None:
    assert refusal(edited((RECIPE, recipe))) == message


def test_all_mistakes_are_listed_in_the_order_in_which_they_were_written() -> None:
    text = edited(("title: Small", "title: 1"), ("seeds: 3", "seeds: no"), ("[digits]", "[1, 2]"))
    assert [line.split(": ")[0] for line in refusal(text).split("\n")] == [
        "suite.yaml:1:8",
        "suite.yaml:4:12",
        "suite.yaml:4:15",
        "suite.yaml:10:8",
    ]


def test_a_flood_of_mistakes_is_cut_short() -> None:
    text = edited(("[digits]", "[" + "1, " * 5000 + "2]"))
    lines = refusal(text).split("\n")
    assert len(lines) == 21
    assert lines[-1] == "and 80 more"


@pytest.mark.parametrize("text", ["just text", "- a\n- b\n", "12", "[]"])
def test_a_document_that_is_no_mapping(text: str) -> None:
    message = refusal(text)
    assert message.startswith("suite.yaml:1:1: expected a mapping with `title`, `question`, ")
    assert "\n" not in message


class Settings(Config):
    rate: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    window: tuple[int, int] = (1, 2)
    table: dict[str, list[int]] = {}
    flag: bool = False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate: fast",
         'f:1:7: `rate`: expected a number above 0 or `auto`, got the string "fast"; did you '
         "mean `auto`?"),
        ("rate: -1", "f:1:7: `rate`: expected a number above 0, got the number -1"),
        ("window: [1, x]", 'f:1:13: `window[1]`: expected a whole number, got the string "x"'),
        ("window: [1, 2, 3]",
         "f:1:9: `window`: expected a list of 2 items, got a list of 3 items"),
        ("table: {a: [1, true]}", "f:1:16: `table.a[1]`: expected a whole number, got `true`"),
        ("table: {a b: 1}", "f:1:14: `table.a b`: expected a list, got the number 1; write it as a "
         "list: [1]"),
        ("flag: 1", "f:1:7: `flag`: expected `true` or `false`, got the number 1"),
    ],
)  # fmt: skip
def test_any_configuration_gets_the_same_voice(text: str, message: str) -> None:
    root = read_document(text, "f")
    with pytest.raises(ValidationError) as caught:
        validate(Settings, root.plain())
    problems = problems_of(caught.value, Settings.model_json_schema(), root)
    assert str(as_error(problems)) == message


def test_lists_are_fine_where_tuples_are_declared() -> None:
    assert validate(Settings, {"window": [3, 4]}).window == (3, 4)


def test_a_problem_moves_into_the_document_around_it() -> None:
    root = read_document("outer:\n  - inner: {flag: 3, wrong: 1}\n", "f")
    inner: dict[str, Any] = {"flag": 3, "wrong": 1}
    with pytest.raises(ValidationError) as caught:
        validate(Settings, inner)
    part = root.nearest(("outer", 0, "inner"))
    problems = problems_of(caught.value, Settings.model_json_schema(), part)
    moved = as_error(problem.within(root, ("outer", 0, "inner")) for problem in problems)
    assert isinstance(moved, ProblemsError)
    assert str(moved) == (
        "f:2:19: `outer[0].inner.flag`: expected `true` or `false`, got the number 3\n"
        "f:2:22: `outer[0].inner.wrong`: unknown key; known: `rate`, `window`, `table`, `flag`"
    )
