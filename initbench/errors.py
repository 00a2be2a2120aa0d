"""The exceptions that initbench raises on purpose.

Anything else that escapes is a bug and is shown with its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InitbenchError(Exception):
    """Base of every exception raised on purpose."""


class UserError(InitbenchError):
    """Wrong input or a wrong setting: shown as one message, exit code 2, no traceback.

    The message says what is wrong, where, what was expected, what was found, and the next step.
    """


class MisfitError(UserError):
    """A recipe that cannot be followed on the data of its trial, wherever that is trained."""


class PluginError(InitbenchError):
    """A plugin broke its contract; the message names its distribution and version."""


class UnsupportedError(PluginError):
    """An initialiser was asked for a model that it says it does not support."""


class StoreError(InitbenchError):
    """The results folder cannot be read or written as promised."""


class CorruptRecordError(StoreError):
    """A file of the store is not what was written: its checksum, size or structure differs."""


def closest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` names of `known` that look like `name`, the best first."""
    return difflib.get_close_matches(name, sorted(known), n=count, cutoff=0.5)


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> UserError:
    """Build the error for a name that nobody registered, with the closest names that exist."""
    names = sorted(known)
    near = closest(name, names)
    message = f"unknown {kind} `{name}`"
    if near:
        message += "; did you mean " + " or ".join(f"`{n}`" for n in near) + "?"
    elif names:
        message += "; known: " + ", ".join(f"`{n}`" for n in names)
    return UserError(message + (f" {hint}" if hint else ""))
