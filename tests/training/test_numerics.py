"""The settings of torch under which members are trained."""

from __future__ import annotations

import pytest
import torch

from initbench.errors import UserError
from initbench.training.numerics import products, reproducible
from initbench.training.trainer import check_recipe
from tests.training.networks import recipe


@pytest.mark.parametrize(("precision", "allowed"), [("tf32", True), ("float32", False)])
def test_a_step_may_use_tf32_only_where_the_recipe_says_so(precision: str, allowed: bool) -> None:
    def flags() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    with reproducible(0, torch.device("cpu")):
        before = flags()
        assert before == (False, False)
        with products(recipe(precision=precision)):
            assert flags() == (allowed, allowed)
        assert flags() == before


@pytest.mark.parametrize("precision", ["tf32", "float16"])
def test_what_only_a_gpu_can_is_refused_on_a_cpu(precision: str) -> None:
    with pytest.raises(UserError, match=f"`precision` is {precision}, which needs a CUDA device"):
        check_recipe(recipe(precision=precision), 1000, torch.device("cpu"))
