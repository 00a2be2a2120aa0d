"""From names to checked, configured things; a bad plugin is named and harms no other."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import pytest
import torch

from initbench.errors import PluginError, UserError
from initbench.plugin.registry import Registry
from initbench.store.identity import canonical
from tests.plugin.worlds import World, good

# --- a zoo of bad plugins, each next to a good one ------------------------------------------------

BROKEN = {
    "missing import": (
        good("bad", at_import="import a_module_that_nobody_has"),
        "raised ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
    ),
    "exit": (good("bad", at_import="import sys; sys.exit(7)"), "raised SystemExit: 7"),
    "syntax": ("def (:", "raised SyntaxError: "),
    "no such object": ("Bid = 1", "raised AttributeError: module 'bad' has no attribute 'Bad'"),
    "not a class": ("Bad = 'bad'", "expected a class, got str 'bad'"),
    "another class": ("class Bad: pass", "expected a subclass of `initbench.api.Initialiser`"),
    "name": (good("other", "Bad = Good"), "to be `bad`, as in its entry point, got 'other'"),
    "contract": (
        good("bad", "Bad = Good", attribute="api_version = 2"),
        "is written for version 2 of the plugin contract, this initbench has version 1",
    ),
    "citation": (
        good("bad", "Good.citation = 'Somebody. 2026.'; Bad = Good"),
        "expected the attribute `citation` to be a Citation, got 'Somebody. 2026.'",
    ),
    "summary": (
        good("bad", "Good.summary = ''; Bad = Good"),
        "expected the attribute `summary` to be a str, got ''",
    ),
    "version": (
        good("bad", "Good.version = 3; Bad = Good"),
        "expected the attribute `version` to be a str or None, got 3",
    ),
    "configuration": (
        good("bad", "Good.Config = dict; Bad = Good"),
        "expected `Config` to be a subclass of `initbench.api.Config`",
    ),
    "abstract": (
        """
        from initbench.api import Citation, Initialiser, Scope

        class Bad(Initialiser):
            name, scope, summary = "bad", Scope.LOCAL, "says much, does little"
            citation = Citation("Nobody.")
        """,
        "does not implement `initialise`",
    ),
}


def install_good(world: World) -> None:
    world.install("good-init", {"initialiser.good": "good_init:Good"}, {"good_init.py": good()})


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_plugin_is_named_with_its_version_and_the_next_one_works(
    world: World, what: str
) -> None:
    source, complaint = BROKEN[what]
    world.install("bad-init", {"initialiser.bad": "bad:Bad"}, {"bad.py": source}, version="0.3")
    install_good(world)
    registry = Registry.installed()
    with pytest.raises(PluginError) as raised:
        registry.initialiser("bad")
    message = str(raised.value)
    assert message.startswith("initialiser `bad` of bad-init 0.3 ")
    assert complaint in message
    assert message.endswith("upgrade bad-init, or uninstall it: `python -m pip uninstall bad-init`")
    assert registry.initialiser("good").thing.name == "good"
    assert registry.initialiser("he").thing.name == "he"
    assert registry.warnings == []


RUDE = {
    "prints": ("print('I am here')", "printed `I am here`"),
    "changes the random generator": (
        "import torch; torch.manual_seed(0)",
        "changed the global random generator of torch, which was put back",
    ),
    "changes the default dtype": (
        "import torch; torch.set_default_dtype(torch.float64)",
        "changed torch's default dtype from torch.float32 to torch.float64, which was put back",
    ),
    "changes the folder": (
        "import os; os.chdir('/')",
        "changed the working directory, which was put back",
    ),
    "changes the environment": (
        "import os; os.environ['OMP_NUM_THREADS'] = '64'",
        "changed environment variables: OMP_NUM_THREADS, which was put back",
    ),
    "leaves a thread": (
        """
        import threading
        stop = threading.Event()
        threading.Thread(target=stop.wait, name="lingerer").start()
        """,
        "left the thread `lingerer` running, which is no daemon",
    ),
}


@pytest.mark.parametrize("what", RUDE)
def test_a_plugin_that_changes_global_state_is_reported_and_works_all_the_same(
    world: World, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, complaint = RUDE[what]
    source = good("rude", "Rude = Good", at_import=code)
    world.install("rude-init", {"initialiser.rude": "rude:Rude"}, {"rude.py": source})
    install_good(world)
    state = torch.get_rng_state(), torch.get_default_dtype(), os.getcwd(), dict(os.environ)
    registry = Registry.installed()
    assert registry.initialiser("rude").thing.name == "rude"
    assert registry.warnings == [f"initialiser `rude` of rude-init 1.0 {complaint}"]
    assert torch.get_rng_state().equal(state[0])
    assert (torch.get_default_dtype(), os.getcwd(), dict(os.environ)) == state[1:]
    assert capsys.readouterr() == ("", "")
    assert registry.initialiser("good").thing.name == "good"
    if "rude" in sys.modules and hasattr(sys.modules["rude"], "stop"):
        sys.modules["rude"].stop.set()


def test_a_plugin_that_is_not_used_costs_nothing(world: World) -> None:
    source = good("slow", "Slow = Good", at_import="import time; time.sleep(30)")
    world.install("slow-init", {"initialiser.slow": "slow:Slow"}, {"slow.py": source})
    install_good(world)
    started = time.perf_counter()
    registry = Registry.installed()
    assert registry.initialiser("good").thing.name == "good"
    assert "slow" in registry.names("initialiser")
    assert time.perf_counter() - started < 20
    assert "slow" not in sys.modules


def test_a_name_that_two_distributions_provide_is_refused_and_both_are_named(world: World) -> None:
    for distribution, version in (("one", "1.0"), ("two", "2.5")):
        world.install(distribution, {"initialiser.warm": "warm:Warm"}, {}, version=version)
    install_good(world)
    registry = Registry.installed()
    with pytest.raises(UserError, match=r"is provided by one 1\.0 and two 2\.5; uninstall one"):
        registry.load("initialiser", "warm")
    assert registry.initialiser("good").thing.name == "good"


def test_a_malformed_entry_point_is_explained_when_it_is_used(world: World) -> None:
    world.install("odd", {"initialiser.odd": "odd"}, {})
    with pytest.raises(PluginError, match=r"^initialiser `odd` of odd 1\.0: expected `module:obj"):
        Registry.installed().load("initialiser", "odd")


# --- names ---------------------------------------------------------------------------------------


def test_an_unknown_name_is_answered_with_the_closest_ones() -> None:
    with pytest.raises(UserError) as raised:
        Registry.installed().initialiser("orthogonl")
    assert str(raised.value) == (
        "unknown initialiser `orthogonl`; did you mean `orthogonal` or `delta_orthogonal` or "
        "`orth`?"
    )


def test_names_of_one_kind_are_not_names_of_another() -> None:
    registry = Registry.installed()
    assert "digits" in registry.names("dataset")
    assert "digits" not in registry.names("model")
    assert {entry.kind for entry in registry.entries("model")} == {"model"}


def test_what_was_loaded_once_is_not_loaded_again(world: World) -> None:
    install_good(world)
    registry = Registry.installed()
    assert registry.load("initialiser", "good") is registry.load("initialiser", "good")


# --- modules that implement the hooks themselves -------------------------------------------------

FAMILY = """
    from initbench.api import Citation, Config, Kind, Model, UserError, hookimpl

    class Any(Model[Config]):
        summary, citation, licence = "any", Citation("Many."), "MIT"
        version = "1"

        def build(self, channels, image_size, classes):
            raise NotImplementedError

    @hookimpl
    def initbench_names(kind):
        return ["family/a", "family/b"] if kind == Kind.MODEL else []

    @hookimpl
    def initbench_provide(kind, name):
        if kind == Kind.MODEL and name.startswith("family/"):
            return type("Any", (Any,), {"name": name})
"""


def test_a_module_may_provide_a_family_of_names(world: World) -> None:
    world.install("family", {"plugin.family": "family_models"}, {"family_models.py": FAMILY})
    registry = Registry.installed()
    registry.load("model", "mlp")
    assert "family_models" not in sys.modules
    loaded = registry.load("model", "family/c")
    assert loaded.thing.name == "family/c"
    assert loaded.entry.title == "model `family/c` of family 1.0"
    with pytest.raises(UserError, match=r"unknown model `famly/a`; did you mean `family/a`"):
        registry.load("model", "famly/a")


def test_a_listed_name_wins_over_a_family(world: World) -> None:
    source = FAMILY.replace('startswith("family/")', 'startswith("z")')
    world.install("family", {"plugin.family": "family_models"}, {"family_models.py": source})
    assert Registry.installed().load("model", "zoo_cnn").entry.distribution == "initbench"


def test_a_family_may_say_that_a_name_is_wrong(world: World) -> None:
    answer = 'raise UserError(f"no `{name}` here")'
    source = FAMILY.replace('return type("Any", (Any,), {"name": name})', answer)
    world.install("family", {"plugin.family": "family_models"}, {"family_models.py": source})
    with pytest.raises(UserError, match=r"^no `family/c` here$"):
        Registry.installed().load("model", "family/c")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("raise RuntimeError('no')", "raised RuntimeError: no"),
        (FAMILY.replace("(kind, name)", "(kind, nome)"), "raised PluginValidationError: "),
        (FAMILY.replace("name.startswith", "nome.startswith"), "raised NameError: "),
    ],
)
def test_a_broken_family_is_mentioned_only_where_it_might_have_helped(
    world: World, source: str, complaint: str
) -> None:
    world.install("family", {"plugin.family": "family_models"}, {"family_models.py": source})
    registry = Registry.installed()
    assert registry.load("model", "mlp").entry.distribution == "initbench"
    with pytest.raises(UserError) as raised:
        registry.load("model", "family/c")
    assert str(raised.value).startswith("unknown model `family/c`")
    assert f"(plugin `family` of family 1.0 {complaint}" in str(raised.value)


# --- configuration and references ----------------------------------------------------------------


def test_the_reference_holds_the_complete_configuration_and_the_code(world: World) -> None:
    install_good(world)
    reference = Registry.installed().initialiser("good").reference
    assert reference.tree() == {
        "name": "good",
        "config": {"std": 0.5},
        "code": {"distribution": "good-init", "version": "3"},
    }


def test_a_reference_resolves_to_itself() -> None:
    registry = Registry.installed()
    first = registry.model("mlp", {"widths": [3, 4]})
    again = registry.model("mlp", first.reference.config)
    assert again.reference == first.reference
    assert canonical(again.reference.tree()) == canonical(first.reference.tree())


def test_the_spelling_of_a_number_does_not_change_the_reference(world: World) -> None:
    install_good(world)
    registry = Registry.installed()
    one = registry.initialiser("good", {"std": 1}).reference
    other = registry.initialiser("good", {"std": 1.0}).reference
    assert canonical(one.tree()) == canonical(other.tree())


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"sdt": 1.0}, "initialiser `good`: `sdt`: unknown key; did you mean `std`?"),
        ({"std": "wide"}, 'initialiser `good`: `std`: expected a number, got the string "wide"'),
    ],
)
def test_a_wrong_configuration_is_explained(
    world: World, config: dict[str, object], complaint: str
) -> None:
    install_good(world)
    with pytest.raises(UserError) as raised:
        Registry.installed().initialiser("good", config)
    assert str(raised.value) == complaint


def test_a_configuration_that_no_key_can_hold_is_refused(world: World) -> None:
    install_good(world)
    with pytest.raises(UserError, match="`good`: its configuration cannot be part of a key"):
        Registry.installed().initialiser("good", {"std": float("inf")})


def test_a_validator_that_fails_is_the_plugins_fault(world: World) -> None:
    validator = """
    from pydantic import field_validator

    class WorseConfig(GoodConfig):
        @field_validator("std")
        def _check(cls, value):
            return 1 / 0

    Good.Config = WorseConfig
    """
    source = good(extra=validator)
    world.install("good-init", {"initialiser.good": "good_init:Good"}, {"good_init.py": source})
    with pytest.raises(PluginError, match=r"`good` of good-init 1\.0 raised ZeroDivisionError"):
        Registry.installed().initialiser("good", {"std": 1.0})


# --- recipes --------------------------------------------------------------------------------------

RECIPE = """
    RECIPES = {
        "short": {
            "optimiser": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
            "epochs": 2,
            "batch_size": 8,
        }
    }
"""


def test_a_recipe_of_a_plugin_is_completed(world: World) -> None:
    target = "recipe_module:RECIPES.short"
    world.install("recipes", {"recipe.short": target}, {"recipe_module.py": RECIPE})
    recipe = Registry.installed().recipe("short")
    assert (recipe.epochs, recipe.schedule.name, recipe.precision) == (2, "constant", "float32")


def test_changes_are_merged_into_a_recipe(world: World) -> None:
    target = "recipe_module:RECIPES.short"
    world.install("recipes", {"recipe.short": target}, {"recipe_module.py": RECIPE})
    registry = Registry.installed()
    changed = registry.recipe("short", {"epochs": 3, "optimiser": {"lr": 0.5}})
    assert changed.epochs == 3
    assert changed.optimiser.model_dump() == {
        **registry.recipe("short").optimiser.model_dump(),
        "lr": 0.5,
    }
    replaced = registry.recipe("short", {"optimiser": {"name": "sgd", "lr": 0.5}})
    assert replaced.optimiser.model_dump()["momentum"] == 0.0


def test_a_recipe_is_scaled_after_it_was_changed() -> None:
    registry = Registry.installed()
    short = registry.recipe("harder2023_cifar10", {"epochs": 60}, scale=0.1)
    assert (short.epochs, short.schedule.milestones) == (6, [8, 10])
    tree = registry.recipe("digits_quick").model_dump(mode="json")
    assert registry.recipe(None, tree, scale=0.5).epochs == 5


def test_a_recipe_may_be_given_in_place() -> None:
    tree = {"optimiser": {"name": "adam", "lr": 1}, "epochs": 1, "batch_size": 4}
    assert Registry.installed().recipe(None, tree).model_dump()["optimiser"]["lr"] == 1.0


def test_a_wrong_recipe_is_explained() -> None:
    registry = Registry.installed()
    with pytest.raises(UserError, match=r"^recipe: `epochs`: missing; expected a whole number"):
        registry.recipe(None, {"optimiser": {"name": "adam", "lr": 1}, "batch_size": 4})
    with pytest.raises(UserError, match=r"^recipe `digits_quick`: `epoch`: unknown key; did you"):
        registry.recipe("digits_quick", {"epoch": 3})
    with pytest.raises(UserError, match="unknown recipe `digits_quik`; did you mean `digits_qui"):
        registry.recipe("digits_quik")


def test_a_recipe_has_to_be_a_mapping(world: World) -> None:
    world.install(
        "recipes", {"recipe.short": "recipe_module:RECIPE"}, {"recipe_module.py": "RECIPE = 3"}
    )
    with pytest.raises(PluginError, match=r"`short` of recipes 1\.0 expected a mapping, got int 3"):
        Registry.installed().recipe("short")


# --- what the harness itself provides -------------------------------------------------------------

NEEDED: dict[str, dict[str, Any]] = {
    "steps_to_threshold": {"threshold": 0.5},
    "hypernetwork": {"main": {"name": "zoo_cnn"}},
}
"""The configuration of what cannot be named alone."""


def test_everything_of_the_harness_resolves_and_declares_the_version_of_its_code() -> None:
    registry = Registry.installed()
    resolve = {
        "initialiser": registry.initialiser,
        "model": registry.model,
        "dataset": registry.dataset,
        "measure": registry.measure,
    }
    for entry in registry.entries():
        if entry.distribution != "initbench":
            continue
        assert entry.problem is None
        if entry.kind in ("plugin", "command"):
            continue  # a family has no names that could be listed; a command is not for suites
        if entry.kind == "recipe":
            registry.recipe(entry.name)
            continue
        config = NEEDED.get(entry.name, {})
        reference = resolve[entry.kind](entry.name, config).reference
        assert reference.code.distribution == "initbench"
        assert reference.code.version
        canonical(reference.tree())
    assert registry.warnings == []
