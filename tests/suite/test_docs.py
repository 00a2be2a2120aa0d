"""docs/suites.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from initbench.plugin.registry import Registry
from initbench.suite.load import load_suite
from initbench.suite.resolve import complaints
from initbench.suite.schema import Comparisons, Overrides, SeedRange, Suite
from initbench.suite.yaml_reader import read_value, write_value
from initbench.training import recipe
from tests.suite.worlds import edited, load

TEXT = (Path(__file__).parents[2] / "docs" / "suites.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
OPTIMISERS = {"sgd": recipe.SGD, "adam": recipe.Adam, "adamw": recipe.AdamW}
SCHEDULES = {
    "constant": recipe.Constant,
    "step": recipe.Step,
    "cosine": recipe.Cosine,
    "plateau": recipe.Plateau,
}


def row(key: str, heading: str) -> list[str]:
    """The row of the tables below a heading that begins with this key."""
    section = re.split(r"^#", TEXT.split(f"\n{heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    [found] = re.findall(rf"^\| `{key}` \|(.*)\|$", section, flags=re.MULTILINE)
    return [cell.strip() for cell in found.split(" | ")]


@pytest.mark.parametrize(
    "model",
    [Suite, Overrides, SeedRange, Comparisons, recipe.Recipe, recipe.Evaluation,
     recipe.Augmentation, *OPTIMISERS.values(), *SCHEDULES.values()],
)  # fmt: skip
def test_every_key_is_explained(model: Any) -> None:
    missing = [key for key in model.model_fields if f"`{key}`" not in TEXT]
    assert missing == []


@pytest.mark.parametrize(
    ("model", "heading"),
    [(Suite, "## Keys"), (Comparisons, "### `comparisons`"), (recipe.Recipe, "### `recipe`")],
)
def test_tables_give_the_defaults(model: Any, heading: str) -> None:
    for key, field in model.model_fields.items():
        stated = row(key, heading)[-1]
        if field.default is PydanticUndefined:
            assert stated == "required", key
        elif stated.startswith("`"):
            assert stated == f"`{write_value(field.default)}`", key
        else:
            assert stated in ("none", "constant", "every epoch"), key
            assert not isinstance(field.default, bool | int | float | str), key


@pytest.mark.parametrize("name", [*OPTIMISERS, *SCHEDULES])
def test_tables_give_the_defaults_of_optimisers_and_schedules(name: str) -> None:
    cell = row(name, "### `recipe`")[0]
    for key, field in (OPTIMISERS | SCHEDULES)[name].model_fields.items():
        stated = re.search(
            rf"`{key}`[^`]*?\((.*?)[,)]", cell.replace("[0.9, 0.999]", "[0.9; 0.999]")
        )
        if field.is_required() or key == "name":
            continue
        assert stated is not None, key
        value = read_value(stated[1].replace(";", ","), "docs").plain()
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        assert value == default, key


def test_the_first_example_is_a_valid_suite() -> None:
    assert list(complaints(load(BLOCKS[0]), Registry.installed())) == []


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.startswith("recipe:")])
def test_every_recipe_is_valid(block: str) -> None:
    text = edited(("recipe: {name: digits_quick, epochs: 5}\n", block))
    assert list(complaints(load(text), Registry.installed())) == []


def test_the_labels_are_those_stated() -> None:
    [block] = [b for b in BLOCKS if b.startswith("initialisers:")]
    text = edited(("initialisers:\n  - default\n  - {name: he, mode: fan_out}\n  - he\n", block))
    for label in ("he", "he(mode=fan_out)", "He (uniform)"):
        assert f"`{label}`" in TEXT
        assert load(text.replace("reference: default", f"reference: {label}"))


@pytest.mark.parametrize("option", re.findall(r"^--set (.*)$", TEXT, flags=re.MULTILINE))
def test_every_override_works_on_the_quickstart(option: str) -> None:
    loaded = load_suite("quickstart", overrides=[option.strip("'")])
    assert list(complaints(loaded, Registry.installed())) == []
