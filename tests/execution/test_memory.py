from __future__ import annotations

from pathlib import Path

from initbench.data.identify import identify
from initbench.execution.memory import model_remarks
from initbench.plugin.registry import Registry
from initbench.suite.expansion import expand
from initbench.suite.load import load_suite

SUITE = """\
title: Models
question: How large?
models:
  - mlp
  - {name: hypernetwork, label: generated, main: {name: mlp, widths: [4]}, embedding: {size: 3}}
datasets: [digits]
initialisers: [default, he]
recipe: digits_quick
seeds: 2
measures: [test_accuracy]
comparisons: {reference: default}
"""


def test_what_a_model_has_to_say_is_said_once_by_its_label(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(SUITE)
    registry = Registry.installed()
    plan = expand(load_suite(path), registry, lambda d, r: identify(d, r.tree(), None))
    # (3 + 1) * (64 * 4 + 4 * 10) in two output layers, two embeddings of 3.
    assert list(model_remarks(plan, registry)) == [
        "generated: 1,190 parameters generate `mlp`, 0.0 MB a trial with their gradients"
    ]
