"""Generated tensors beside sums written out, element by element."""

from __future__ import annotations

import pytest
import torch

from initbench.models.hypernetwork.config import HypernetworkConfig
from initbench.models.hypernetwork.generators import generator_for
from initbench.models.hypernetwork.tensors import chosen_tensors
from initbench.models.tracing import anatomy
from tests.models.hypernetwork.support import SMALL_MLP, built, hypernetwork


def test_a_weight_is_the_sum_over_the_features_of_its_own_embedding() -> None:
    network = hypernetwork("per_tensor")
    embeddings = network.generator.embeddings.own
    for i, (name, shape) in enumerate(
        [("linear1", (12, 36)), ("linear2", (12, 12)), ("linear3", (12, 12)), ("head", (10, 12))]
    ):
        layer = network.generator.output_layers[i]
        heads = layer.weight.view(*shape, 5)
        expected = torch.einsum("ijk,k->ij", heads, embeddings[i]) + layer.bias.view(shape)
        torch.testing.assert_close(network.generated()[f"{name}.weight"], expected)


def test_tensors_of_one_shape_share_an_output_layer_but_no_embedding() -> None:
    network = built({"main": SMALL_MLP, "sharing": "per_shape", "embedding": {"size": 5}})
    assert [layer.weight.shape[0] for layer in network.generator.output_layers] == [432, 144, 120]
    generated = network.generated()
    layer, embeddings = network.generator.output_layers[1], network.generator.embeddings.own
    for name, row in (("linear2", 1), ("linear3", 2)):
        expected = layer.weight @ embeddings[row] + layer.bias
        torch.testing.assert_close(generated[f"{name}.weight"].flatten(), expected)
    assert not torch.equal(generated["linear2.weight"], generated["linear3.weight"])


def test_hidden_layers_and_shared_numbers_come_before_the_output_layers() -> None:
    generator = hypernetwork("trainable").generator
    features = torch.cat([generator.embeddings.shared[0], generator.embeddings.own[2]])
    for layer in generator.hidden:
        features = torch.relu(layer.weight @ features + layer.bias)
    output = generator.output_layers[2]
    expected = output.weight @ features + output.bias
    torch.testing.assert_close(generator(0)[2].flatten(), expected)


@pytest.mark.parametrize(("outputs", "inputs"), [(8, 3), (3, 8), (8, 8)])
def test_blocks_lie_where_ha_et_al_put_them(outputs: int, inputs: int) -> None:
    """Block m = j + floor(i / K) d_j, or i + floor(j / K) d_i where d_i does not divide by K."""
    filters, kernel = 4, 3

    config = HypernetworkConfig(
        main={"name": "mlp"},  # the layers come from `conv`
        sharing="chunked",
        embedding={"size": 5},
        blocks={"filters": filters, "kernel": kernel, "features": 6},
    )
    conv = torch.nn.Sequential(torch.nn.Conv2d(inputs, outputs, kernel))
    torch.manual_seed(0)
    generator = generator_for(chosen_tensors(anatomy(conv), config), config)
    (weight,) = generator(0)
    assert weight.shape == (outputs, inputs, kernel, kernel)
    gs = generator.input_layers[0].weight.view(-1, 6, 5)
    gammas = generator.input_layers[0].bias.view(-1, 6)
    for i in range(outputs):
        for j in range(inputs):
            if outputs % filters == 0:
                m, place = j + i // filters * inputs, i % filters
            else:
                m, place = i + j // filters * outputs, j % filters
            a = gs[m] @ generator.embeddings[0].own[m] + gammas[m]
            block = generator.output_layer.weight @ a + generator.output_layer.bias
            expected = block.view(filters, kernel, kernel)[place]
            torch.testing.assert_close(weight[i, j], expected)


def test_all_cnn_has_the_blocks_of_the_paper() -> None:
    network = built({"main": {"name": "all_cnn_c"}, "sharing": "chunked"}, 3, 32)
    blocks = [embeddings.count for embeddings in network.generator.embeddings]
    assert blocks == [3, 96, 96, 192, 384, 384, 384]
    assert sum(blocks) == 1539
    assert tuple(network.generator.output_layer.weight.shape) == (864, 50)
    left = [name for name, _ in network.main.named_parameters()]
    biases = [f"conv{i}.bias" for i in range(1, 10)]
    assert sorted(left) == sorted([*biases, "conv8.weight", "conv9.weight"])


def test_the_paper_s_mnist_hypernetwork_has_32_million_weights() -> None:
    main = {"name": "mlp", "widths": [500] * 5, "activation": "tanh"}
    with torch.device("meta"):
        network = built({"main": main, "sharing": "per_shape"}, 1, 28)
    sizes = [layer.weight.numel() for layer in network.generator.output_layers]
    assert sizes == [50 * 784 * 500, 50 * 500 * 500, 50 * 500 * 10]
    assert sum(sizes) == 32_350_000


def test_noise_is_fresh_in_training_and_the_same_in_each_test() -> None:
    network = hypernetwork("per_tensor", embedding={"size": 5, "noise": 0.1, "draws": 7})
    embeddings = network.generator.embeddings
    plain = embeddings.own
    first, second = embeddings(None), embeddings(None)
    assert not torch.equal(first, second)
    assert (first - plain).abs().max() <= 0.1
    assert torch.equal(embeddings(3), plain + embeddings.test_noise[3])
    assert embeddings.test_noise.shape == (7, 4, 5)
    assert embeddings.test_noise.var().item() == pytest.approx(0.1**2 / 3, rel=0.2)
