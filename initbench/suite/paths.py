"""Paths into a suite, as people write them: `initialisers[1].mode`, `initialisers.he.mode`."""

from __future__ import annotations

import re

from initbench.suite.yaml_reader import NodePath

# What stands in parentheses belongs to a label: `he(mode=fan_out)` is one step, not two.
_WORD = r'(?:[^.,\[\]"=()]|\([^()]*\))+'
_STEP = rf'(?:{_WORD}|"[^"]+")'
_PATH = re.compile(rf"{_STEP}(?:\.{_STEP}|\[[0-9]+\])*")
_PARTS = re.compile(rf'\[(?P<index>[0-9]+)\]|"(?P<quoted>[^"]+)"|(?P<word>{_WORD})')


def leading_path(text: str) -> str:
    """Return the longest beginning of `text` that is a path; empty if there is none."""
    found = _PATH.match(text)
    return found.group() if found else ""


def parse_path(text: str) -> NodePath:
    """Return the steps of a path: keys and labels as strings, positions in lists as integers.

    >>> parse_path('initialisers[1].mode'), parse_path('initialisers."v1.2".mode')
    (('initialisers', 1, 'mode'), ('initialisers', 'v1.2', 'mode'))
    """
    return tuple(
        int(part["index"]) if part["index"] else part["quoted"] or part["word"].strip()
        for part in _PARTS.finditer(text)
    )


def format_path(path: NodePath) -> str:
    """Return the text of a path.

    >>> format_path(("initialisers", 1, "mode"))
    'initialisers[1].mode'
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{_quoted(step)}" if text else _quoted(step)
    return text


def split_labels(text: str) -> list[str]:
    """Split at commas that are not part of a label.

    >>> split_labels('he(a=1, b=2),xavier,"He, twice"')
    ['he(a=1, b=2)', 'xavier', 'He, twice']
    """
    parts = re.findall(r'(?:"[^"]*"|\([^()]*\)|[^,])+', text)
    return [part.strip().strip('"') for part in parts]


def join_labels(labels: list[str]) -> str:
    """Return labels as one text that `split_labels` splits again."""
    return ",".join(label if split_labels(label) == [label] else f'"{label}"' for label in labels)


def _quoted(step: str) -> str:
    return step if re.fullmatch(_WORD, step) and step.strip() == step else f'"{step}"'
