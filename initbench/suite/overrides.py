"""Changes to a suite, each of which keeps track of where it was written.

In the order in which they apply: a profile, `--set`, `--seeds`, `--only`. What the command line
changed also has a canonical text, so that two ways of saying the same name the same results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from initbench.errors import UserError
from initbench.suite.expectations import got, suggestion
from initbench.suite.paths import (
    format_path,
    join_labels,
    leading_path,
    parse_path,
    split_labels,
)
from initbench.suite.schema import MOST_SEEDS, Choice, Suite, label_of
from initbench.suite.yaml_reader import (
    MAX_DEPTH,
    Mark,
    Node,
    NodePath,
    node_of,
    read_value,
    shorten,
    write_value,
)

CHOICE_SECTIONS = ("models", "datasets", "initialisers", "measures")
_MERGED_SECTIONS = ("recipe", "comparisons")
_FILTERS = {
    "initialiser": "initialisers",
    "model": "models",
    "dataset": "datasets",
    "seed": "seeds",
}


@dataclass(frozen=True)
class Change:
    """A value and the path at which it is to stand."""

    path: NodePath
    value: Node

    def __str__(self) -> str:
        return f"{format_path(self.path)}={write_value(self.value.plain())}"


def expanded(root: Node) -> Node:
    """Return a suite, or a profile, in which a name alone is a mapping with `name`."""
    for section in CHOICE_SECTIONS:
        node = root.child(section)
        if node is not None and isinstance(node.value, list):
            items = [_named(item) for item in node.value]
            root = root.with_child(section, replace(node, value=items))
    recipe = root.child("recipe")
    return root if recipe is None else root.with_child("recipe", _named(recipe))


def profile_names(root: Node) -> list[str]:
    """Return the profiles that a suite has."""
    profiles = root.child("profiles")
    return list(profiles.value) if profiles and isinstance(profiles.value, dict) else []


def with_profile(root: Node, name: str) -> Node:
    """Return a suite with the changes of one of its profiles."""
    names = profile_names(root)
    if name not in names:
        origin = root.mark.origin
        problem = suggestion(name, names) or "this suite has no profiles"
        raise UserError(f"{origin}: unknown profile `{name}`; {problem}")
    changes = expanded(root.nearest(("profiles", name)))
    assert isinstance(changes.value, dict)
    for section, part in changes.value.items():
        base = root.child(section)
        if section in _MERGED_SECTIONS and base is not None:
            root = root.with_child(section, merged(base, part))
        elif section != "reduced":
            root = root.with_child(section, part)
    return root


def merged(base: Node, change: Node) -> Node:
    """Return `base` with the keys of `change`, and so on below.

    A mapping that says its `name` is complete and replaces what was there: the settings of SGD
    make no sense for Adam.
    """
    if not isinstance(base.value, dict) or not isinstance(change.value, dict):
        return change
    if "name" in change.value:
        return change
    value = dict(base.value)
    for key, child in change.value.items():
        value[key] = merged(value[key], child) if key in value else child
    return replace(base, value=value)


def parse_change(text: str) -> Change:
    """Read the `PATH=VALUE` of `--set`; the value is YAML in one line."""
    path = leading_path(text)
    if not path or not text[len(path) :].startswith("="):
        raise UserError(f"`--set {text}`: expected PATH=VALUE, such as `--set recipe.epochs=3`")
    steps = parse_path(path)
    if len(steps) > MAX_DEPTH:
        raise UserError(f"`--set {shorten(text)}`: a path of more than {MAX_DEPTH} steps")
    if steps[0] == "profiles":
        raise UserError(f"`--set {text}`: profiles are chosen, with --profile, not changed")
    value = read_value(text[len(path) + 1 :], f"from --set {shorten(text)}")
    return Change(steps, _shortest_seeds(value) if steps == ("seeds",) else value)


def change_of_seeds(seeds: int | str | Sequence[int]) -> Change:
    """Return the change that `--seeds` stands for: a count, or which seeds."""
    tree: int | list[int]
    if isinstance(seeds, str):
        origin = f"from --seeds {shorten(seeds)}"
        tree = int(seeds) if re.fullmatch(r"[0-9]{1,9}", seeds) else parse_seeds(seeds, origin)
    else:
        tree = seeds if isinstance(seeds, int) else list(seeds)
        origin = f"from seeds={shorten(str(tree))}"
    return Change(("seeds",), _shortest_seeds(node_of(tree, Mark(origin))))


def parse_seeds(text: str, origin: str) -> list[int]:
    """Read seeds such as `0,3,7` or `0-9`, in the order given."""
    seeds: list[int] = []
    for part in text.strip().rstrip(",").split(","):
        found = re.fullmatch(r"\s*([0-9]{1,9})(?:\s*-\s*([0-9]{1,9}))?\s*", part)
        if found is None:
            raise UserError(
                f"{origin}: expected a count such as `5`, seeds such as `0,3,7` or a range such "
                f"as `0-9`, got `{part}`"
            )
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last - first + len(seeds) >= MOST_SEEDS:
            raise UserError(f"{origin}: `{part}` has to rise and bring at most {MOST_SEEDS} seeds")
        seeds += range(first, last + 1)
    return seeds


def format_seeds(seeds: Sequence[int]) -> str:
    """Return seeds as short as possible.

    >>> format_seeds([0, 1, 2, 3, 7])
    '0-3,7'
    """
    runs: list[list[int]] = []
    for seed in seeds:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def with_changes(root: Node, changes: Iterable[Change]) -> tuple[Node, list[Change]]:
    """Return a changed suite, and the changes that were not overtaken by a later one.

    The paths of the changes returned have positions where labels were given.
    """
    made: list[Change] = []
    for change in changes:
        root, path = _replaced(root, change.path, change.value)
        root = expanded(root)
        made = [m for m in made if m.path[: len(path)] != path]
        made.append(Change(path, change.value))
    return root, made


def with_only(root: Node, suite: Suite, texts: Sequence[str]) -> tuple[Node, list[str]]:
    """Return a suite without what `--only` leaves out, and the canonical text of the filters.

    Args:
        root: the suite as nodes.
        suite: the same suite, validated.
        texts: filters `KIND=NAMES`; several of one kind add up.
    """
    wanted: dict[str, list[tuple[str, str]]] = {}
    for text in texts:
        kind, equals, names = text.partition("=")
        kind = kind.strip()
        if not equals or not split_labels(names):
            raise UserError(
                f"`--only {text}`: expected KIND=NAMES, such as `--only initialiser=he,xavier`"
            )
        if kind not in _FILTERS:
            raise UserError(
                f"`--only {text}`: unknown kind `{kind}`; {suggestion(kind, list(_FILTERS))}"
            )
        wanted.setdefault(kind, []).append((text, names))
    canonical = []
    for kind, section in _FILTERS.items():
        if kind not in wanted:
            continue
        if kind == "seed":
            root, shown = _only_seeds(root, suite, wanted[kind])
        else:
            root, shown = _only_choices(root, getattr(suite, section), kind, wanted[kind])
        canonical.append(f"only {kind}={shown}")
    return root, canonical


def _shortest_seeds(node: Node) -> Node:
    """Return seeds in the one way to write them, so that their results have one name."""
    tree = node.plain()
    if not isinstance(tree, list) or not tree or {type(seed) for seed in tree} != {int}:
        return node
    if tree != list(range(tree[0], tree[0] + len(tree))):
        return node
    return node_of(len(tree) if tree[0] == 0 else {"first": tree[0], "count": len(tree)}, node.mark)


def _named(node: Node) -> Node:
    if not isinstance(node.value, str):
        return node
    return replace(node, value={"name": Node(node.value, node.mark, node.mark)})


def _replaced(
    node: Node, path: NodePath, value: Node, done: NodePath = ()
) -> tuple[Node, NodePath]:
    """Return `node` with `value` at `path` below it, and the whole path with labels resolved."""
    if not path:
        return replace(value, key_mark=value.mark), done
    step = _position(node, path[0], done, value.mark)
    below = node.child(step)
    if below is None or (below.value is None and len(path) > 1):
        below = Node({}, value.mark, value.mark)
    child, resolved = _replaced(below, path[1:], value, (*done, step))
    return node.with_child(step, child), resolved


def _position(node: Node, step: str | int, done: NodePath, mark: Mark) -> str | int:
    """Return the key or position in `node` that a step of a path means."""
    subject = f"{mark}: `{format_path(done)}`"
    if isinstance(node.value, dict):
        if isinstance(step, str):
            return step
        raise UserError(f"{subject} is not a list; name a key of it, or set it as a whole")
    if not isinstance(node.value, list):
        raise UserError(f"{subject} is {got(node.value)}, nothing is below it; set it as a whole")
    if isinstance(step, int):
        if step < len(node.value):
            return step
        raise UserError(f"{subject} has {len(node.value)} items, counted from [0]; got [{step}]")
    labels = [_label(item) for item in node.value]
    if step in labels:
        return labels.index(step)
    known = [label for label in labels if label is not None]
    problem = suggestion(step, known) or "give a position such as [0]"
    raise UserError(f"{subject} has no item `{step}`; {problem}")


def _label(node: Node) -> str | None:
    try:
        return label_of(Choice.model_validate(node.plain()))
    except ValidationError:
        return None


def _only_choices(
    root: Node, choices: list[Choice], kind: str, filters: list[tuple[str, str]]
) -> tuple[Node, str]:
    labels = [label_of(choice) for choice in choices]
    kept: set[int] = set()
    for text, names in filters:
        for name in split_labels(names):
            # A label means one variant; a name that is no label means all variants of it.
            found = [i for i, label in enumerate(labels) if label == name]
            found = found or [i for i, choice in enumerate(choices) if choice.name == name]
            if not found:
                raise UserError(
                    f"from --only {text}: unknown {kind} `{name}`; {suggestion(name, labels)}"
                )
            kept |= set(found)
    section = _FILTERS[kind]
    node = root.nearest((section,))
    assert isinstance(node.value, list)
    items = [item for i, item in enumerate(node.value) if i in kept]
    shown = join_labels([label for i, label in enumerate(labels) if i in kept])
    return root.with_child(section, replace(node, value=items)), shown


def _only_seeds(root: Node, suite: Suite, filters: list[tuple[str, str]]) -> tuple[Node, str]:
    known = set(suite.seed_list)
    wanted: set[int] = set()
    for text, names in filters:
        origin = f"from --only {text}"
        for seed in parse_seeds(names, origin):
            if seed not in known:
                shown = format_seeds(suite.seed_list)
                raise UserError(f"{origin}: the suite has no seed {seed}; it has {shown}")
            wanted.add(seed)
    seeds = [seed for seed in suite.seed_list if seed in wanted]
    node = root.nearest(("seeds",))
    return root.with_child("seeds", node_of(seeds, node.mark)), format_seeds(seeds)
