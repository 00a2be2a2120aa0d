from __future__ import annotations

from typing import Any

import pytest

from initbench.errors import UserError
from initbench.models.hypernetwork.config import EmbeddingConfig
from initbench.plugin.registry import Registry

MLP = {"name": "mlp", "widths": [4]}


def resolve(**config: Any) -> Any:
    return Registry.installed().model("hypernetwork", config)


def test_the_main_network_is_completed_with_its_defaults_and_its_code() -> None:
    main = resolve(main={"name": "mlp", "widths": [4]}).reference.config["main"]
    code = {"distribution": "initbench", "version": "1"}
    assert main == {"name": "mlp", "widths": [4], "activation": "relu", "code": code}


def test_the_main_network_is_an_mlp_where_nothing_is_said() -> None:
    assert resolve().reference == resolve(main={"name": "mlp"}).reference


def test_a_complete_configuration_is_what_it_was_when_it_is_read_again() -> None:
    first = resolve(main=MLP, biases=True, hidden=[3]).reference
    assert resolve(**first.config).reference.tree() == first.tree()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"main": {}}, ["`main` has no `name`", "main: {name: mlp"]),
        ({"main": {"name": "mpl"}}, ["unknown model `mpl`", "`mlp`"]),
        ({"main": {"name": "mlp", "width": [3]}}, ["model `mlp`", "`width`", "`widths`"]),
        ({"main": {"name": "hypernetwork", "main": MLP}}, ["`main` is a hypernetwork"]),
        ({"main": {**MLP, "code": {"version": "0"}}}, ["the code of `mlp`", "leave out `code`"]),
        ({"main": MLP, "sharing": "per_size"}, ["per_shape"]),
        ({"main": MLP, "embedding": {"variance": 0.0}}, ["variance above 0", "weight is zero"]),
        ({"main": MLP, "embedding": {"shared_variance": -1.0}}, ["variance above 0", "-1"]),
        ({"main": MLP, "embedding": {"size": 0}}, ["`size` and `shared` are both 0"]),
        ({"main": MLP, "blocks": {"filters": 4}}, ["`blocks` belongs to `sharing: chunked`"]),
        ({"main": MLP, "sharing": "chunked", "hidden": [3]}, ["`hidden` layers do not go with"]),
        ({"main": MLP, "sharing": "chunked", "biases": True}, ["`biases` do not go with"]),
        ({"main": MLP, "sharing": "chunked", "embedding": {"size": 0, "shared": 3}}, ["size`"]),
        ({"main": MLP, "layers": []}, ["layers"]),
    ],
)
def test_wrong_configurations_are_refused_with_a_reason(
    config: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        resolve(**config)
    assert [word for word in words if word not in str(caught.value)] == []


def test_the_mean_square_of_an_embedding_counts_concatenation_and_noise() -> None:
    assert EmbeddingConfig().mean_square == 1
    # U(-0.1, 0.1) has the variance 0.1^2 / 3.
    assert EmbeddingConfig(noise=0.1).mean_square == pytest.approx(1.0033, abs=5e-5)
    both = EmbeddingConfig(size=30, variance=2.0, shared=10, shared_variance=0.4)
    assert both.mean_square == pytest.approx((10 * 0.4 + 30 * 2.0) / 40)
