"""Checking a suite: its form, and what depends on several of its parts."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from initbench.suite.expectations import suggestion
from initbench.suite.messages import Problem, problems_of, validate
from initbench.suite.overrides import CHOICE_SECTIONS
from initbench.suite.schema import SEED_LIMIT, Choice, PlacedChoice, Suite, label_of
from initbench.suite.schema_export import json_schema, recipe_schema
from initbench.suite.yaml_reader import Node, NodePath
from initbench.training.recipe import Recipe


def problems(root: Node) -> tuple[Suite | None, list[Problem]]:
    """Return the suite, None where its form is wrong, and everything that is wrong with it."""
    try:
        suite = validate(Suite, root.plain())
    except ValidationError as error:
        return None, problems_of(error, json_schema(), root) + _recipe_problems(root)
    return suite, [
        *_recipe_problems(root),
        *_label_problems(suite, root),
        *_place_problems(suite, root),
        *_measure_problems(suite, root),
        *_seed_problems(suite, root),
        *_comparison_problems(suite, root),
    ]


def _recipe_problems(root: Node) -> list[Problem]:
    """Check a recipe as far as it is given: the rest of a named one comes when it is looked up."""
    tree = root.nearest(("recipe",)).plain() if root.child("recipe") else None
    if not isinstance(tree, dict):
        return []
    name = tree.pop("name", None)
    tree.pop("scale", None)
    try:
        validate(Recipe, tree)
    except ValidationError as error:
        found = problems_of(error, recipe_schema(), root, ("recipe",))
        return [p for p in found if name is None or not p.missing]
    return []


def _label_problems(suite: Suite, root: Node) -> Iterator[Problem]:
    """Labels differ, or stand for one thing on one data set and for another thing elsewhere."""
    datasets = [label_of(choice) for choice in suite.datasets]
    for section in CHOICE_SECTIONS:
        seen: dict[tuple[str, str], int] = {}
        for i, choice in enumerate(getattr(suite, section)):
            label = label_of(choice)
            path = (section, i)
            places = _places(choice, datasets)
            taken = [seen[label, place] for place in places if (label, place) in seen]
            if taken:
                first = root.nearest((section, taken[0])).mark
                text = (
                    f"the label `{label}` is taken (by {first}); take one of them out, or give "
                    "one another `label`"
                )
                yield Problem.at(root, path, text)
            for place in places:
                seen.setdefault((label, place), i)


def _places(choice: Choice, datasets: list[str]) -> list[str]:
    if isinstance(choice, PlacedChoice):
        return [dataset for dataset in datasets if choice.is_on(dataset)]
    return datasets


def _place_problems(suite: Suite, root: Node) -> Iterator[Problem]:
    datasets = [label_of(choice) for choice in suite.datasets]
    for section in CHOICE_SECTIONS:
        for i, choice in enumerate(getattr(suite, section)):
            named = choice.only_on if isinstance(choice, PlacedChoice) else None
            for j, label in enumerate(named or ()):
                if label not in datasets:
                    text = f"no data set has the label `{label}`; {suggestion(label, datasets)}"
                    yield Problem.at(root, (section, i, "only_on", j), text)


def _measure_problems(suite: Suite, root: Node) -> Iterator[Problem]:
    for i, choice in enumerate(suite.measures):
        if choice.label is not None:
            text = "a measure has no `label`; it is called what its configuration makes of it"
            yield Problem.at(root, ("measures", i, "label"), text, at_key=True)


def _seed_problems(suite: Suite, root: Node) -> Iterator[Problem]:
    seen: set[int] = set()
    for i, seed in enumerate(suite.seed_list):
        path = ("seeds", i) if isinstance(suite.seeds, list) else ("seeds",)
        if seed in seen:
            yield Problem.at(root, path, f"the seed {seed} is given twice")
        seen.add(seed)
    if max(seen) >= SEED_LIMIT:
        text = f"seeds are below {SEED_LIMIT}; the last one here is {max(seen)}"
        yield Problem.at(root, ("seeds",), text)


def _comparison_problems(suite: Suite, root: Node) -> Iterator[Problem]:
    labels = [label_of(choice) for choice in suite.initialisers]
    reference = suite.comparisons.reference
    path: NodePath = ("comparisons", "reference")
    if reference not in labels:
        text = f"no initialiser has the label `{reference}`; {suggestion(reference, labels)}"
        yield Problem.at(root, path, text)
