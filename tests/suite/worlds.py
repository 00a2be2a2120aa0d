"""A small suite, and what is said about it after an edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from initbench.errors import UserError
from initbench.suite.load import LoadedSuite, load_suite

SMALL = """\
title: Small
question: Does it work?
models: [zoo_cnn]
datasets: [digits]
initialisers:
  - default
  - {name: he, mode: fan_out}
  - he
recipe: {name: digits_quick, epochs: 5}
seeds: 3
measures: [test_accuracy]
comparisons: {reference: default, margins: {test_accuracy: 0.01}}
profiles:
  smoke:
    seeds: 1
    recipe: {epochs: 2}
    comparisons: {test: welch}
"""


def edited(*changes: tuple[str, str]) -> str:
    """Return the small suite with each `old` replaced by `new`."""
    text = SMALL
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def load(text: str = SMALL, **options: Any) -> LoadedSuite:
    """Load a suite of this text, from the file `suite.yaml` in the current folder."""
    Path("suite.yaml").write_text(text, encoding="utf-8")
    return load_suite("suite.yaml", **options)


def refusal(text: str = SMALL, **options: Any) -> str:
    """Return the message with which a suite of this text is refused."""
    with pytest.raises(UserError) as caught:
        load(text, **options)
    return str(caught.value)
