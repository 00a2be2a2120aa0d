"""Loading a suite: find the file, read it, change it as asked, and check all of it.

Later stages point into the file with `LoadedSuite.locate`.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from initbench.errors import InitbenchError
from initbench.published.links import link_problems
from initbench.suite.checks import problems
from initbench.suite.find import find_suite
from initbench.suite.messages import ProblemsError, as_error, validate
from initbench.suite.overrides import (
    CHOICE_SECTIONS,
    Change,
    change_of_seeds,
    expanded,
    parse_change,
    profile_names,
    with_changes,
    with_only,
    with_profile,
)
from initbench.suite.paths import parse_path
from initbench.suite.schema import Suite, label_of
from initbench.suite.yaml_reader import Node, NodePath, read_document, read_file

__all__ = ["LoadedSuite", "label_of", "load_suite"]


@dataclass(frozen=True)
class LoadedSuite:
    """A suite after profile and changes, and how it came about."""

    suite: Suite
    name: str
    """The file's name without suffix."""
    profile: str | None
    reduced: bool
    """Whether its results are marked as reduced: those of a profile are, unless it says no."""
    origin: str
    """The file as messages name it."""
    source: str
    """The YAML text of the file."""
    overrides: list[str]
    """All that the command line changed besides the profile, in one canonical wording."""
    command: str
    """The command that runs the same again."""
    notes: list[str]
    """What the user should know about the choice made."""
    root: Node = field(repr=False, compare=False)

    @property
    def seeds(self) -> list[int]:
        """The seeds, one by one."""
        return self.suite.seed_list

    def locate(self, path: str | NodePath) -> str:
        """Return where the part at a path such as `initialisers[2].mode` was written.

        The answer is `file:line:column`, or the option of the command line that it comes from.
        Where the path leads further than the file does, it is the place of the last part there is.
        """
        steps = parse_path(path) if isinstance(path, str) else path
        return str(self.root.nearest(steps).mark)

    def located(self, error: InitbenchError, path: str | NodePath) -> InitbenchError:
        """Return an error about the thing at a path, with the place in the file in its message.

        The complaints about a configuration each get their own place.
        """
        steps = parse_path(path) if isinstance(path, str) else path
        if isinstance(error, ProblemsError):
            return as_error(problem.within(self.root, steps) for problem in error.problems)
        return type(error)(f"{self.locate(steps)}: {error}")

    def tree(self) -> dict[str, Any]:
        """Return the suite as it would be written in a file, without profiles."""
        tree: dict[str, Any] = self.root.plain()
        tree.pop("profiles", None)
        for section in CHOICE_SECTIONS:
            tree[section] = [_shortest(choice) for choice in tree[section]]
        tree["recipe"] = _shortest(tree["recipe"])
        tree["comparisons"] = self.suite.comparisons.model_dump()
        return tree


def load_suite(
    name_or_path: str | Path,
    *,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    seeds: int | str | Sequence[int] | None = None,
    only: Sequence[str] = (),
) -> LoadedSuite:
    """Load and check a suite.

    Args:
        name_or_path: the path of a suite file, or the name of a bundled suite.
        profile: the profile to apply; without one the suite is at full scale.
        overrides: changes `PATH=VALUE`, applied in this order.
        seeds: how many, which ones, or text such as `0,3,7` or `0-9`.
        only: filters `KIND=NAMES`, such as `initialiser=he,xavier`.

    Raises:
        UserError: no such file, or everything that is wrong in it, a line each with its place.
    """
    file = find_suite(name_or_path)
    source = read_file(file.path, file.shown)
    root = expanded(read_document(source, file.shown))
    whole = _checked_file(root)
    if profile is not None:
        root = with_profile(root, profile)
    changes = [parse_change(text) for text in overrides]
    if seeds is not None:
        changes.append(change_of_seeds(seeds))
    root, made = with_changes(root, changes)
    suite = _checked(root)
    root, filters = with_only(root, suite, only)
    if filters:
        suite = validate(Suite, root.plain())
    return LoadedSuite(
        suite=suite,
        name=file.path.stem,
        profile=profile,
        reduced=whole.profiles[profile].reduced if profile else False,
        origin=file.shown,
        source=source,
        overrides=[*map(str, made), *filters],
        command=_command(file.argument, profile, made, filters),
        notes=_notes(suite),
        root=root,
    )


def _checked_file(root: Node) -> Suite:
    """Check a suite file with each of its profiles."""
    suite = _checked(root)
    found = [
        replace(problem, text=f"{problem.text} (in profile `{name}`)")
        for name in profile_names(root)
        for problem in problems(with_profile(root, name))[1]
    ]
    found += link_problems(suite, root)
    if found:
        raise as_error(found)
    return suite


def _checked(root: Node) -> Suite:
    suite, found = problems(root)
    if suite is None or found:
        raise as_error(found)
    return suite


def _notes(suite: Suite) -> list[str]:
    labels = [label_of(choice) for choice in suite.initialisers]
    if suite.comparisons.reference in labels:
        return []
    so = "nothing is compared; add it to compare the others with it"
    if suite.comparisons.family == "all":
        so = "the others are compared with each other only"
    return [f"the reference `{suite.comparisons.reference}` is left out by `--only`, so {so}"]


def _command(argument: str, profile: str | None, changes: list[Change], filters: list[str]) -> str:
    words = ["initbench", "run", argument]
    if profile is not None:
        words += ["--profile", profile]
    for change in changes:
        words += ["--set", str(change)]
    for text in filters:
        words += ["--only", text.removeprefix("only ")]
    return shlex.join(words)


def _shortest(choice: dict[str, Any]) -> dict[str, Any] | str:
    return str(choice["name"]) if list(choice) == ["name"] else choice
