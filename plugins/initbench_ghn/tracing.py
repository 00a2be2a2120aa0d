"""The graph of any torch module, from one forward pass (Knyazev et al. 2021; released code).

The released code walks the autograd graph and matches the classes of modules. Here the operations
of a forward pass are observed as they run, on a copy of the network without data (the meta device):
no image is computed, no buffer moves, no random number is drawn, and gradients play no part. A
network whose forward method looks at values is run on the CPU instead.

What is a node is decided by what a parameter does: a tensor of rank 4 that an ungrouped convolution
applies is `conv`, whatever the class of the module. Where the released code gives a graph, this is
the same one. Where it fails or deletes parameters (subclasses, two stems, attention, shared
parameters), this is what the same rules give:
- Nodes that nothing but the image precedes are joined to `input`, however many there are.
- Attention is one node `msa`, fed by queries, keys and values. The released code means to do so,
  but finds none with current versions of torch.
- A parameter that is used again has a node for each use. It is predicted from the first.
- Nodes that the output does not depend on are left out.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from initbench.api import UnsupportedError
from initbench_ghn.graph import Graph
from initbench_ghn.observation import Observer, tensors_in
from initbench_ghn.rules import rule_of

IMAGES = 2  # of the batch that is traced: batch norm without statistics refuses a single value


def trace(network: nn.Module, image: tuple[int, int, int]) -> Graph:
    """Return the graph of `network` in evaluation mode; the network stays as it is.

    Args:
        network: any module that maps images to logits, or to a tuple or mapping whose first
            entry they are.
        image: (channels, height, width) of its inputs.

    Raises:
        UnsupportedError: its forward pass fails for images of this size.
    """
    for name, parameter in network.named_parameters():
        if is_lazy(parameter):
            raise UnsupportedError(
                f"the shape of parameter `{name}` is not known yet, because its module is lazy; "
                "run one batch through the network first"
            )
    try:
        return _traced(network, image, "meta")
    except Exception:  # a forward method that looks at values, whatever that raises
        try:
            return _traced(network, image, "cpu")
        except Exception as error:
            raise UnsupportedError(
                f"the network could not be traced with images of {image}: "
                f"{type(error).__name__}: {error}"
            ) from error


def _traced(network: nn.Module, image: tuple[int, int, int], device: str) -> Graph:
    twin = _twin(network, device).eval()
    images = torch.zeros(IMAGES, *image, device=device)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it hides the parts of a transformer layer
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            observer = Observer(twin, images, rule_of)
            with observer:
                output = twin(images)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return observer.graph(next(tensors_in(output)))


def _twin(network: nn.Module, device: str) -> nn.Module:
    """Return a copy without gradients on `device`; on `meta` it costs no memory."""
    memo: dict[int, object] = {}
    for module in network.modules():
        own = (*module._parameters.values(), *module._buffers.values(), *vars(module).values())
        for value in own:
            if isinstance(value, Tensor) and id(value) not in memo:
                moved = value.detach().to(device, copy=True)
                is_parameter = isinstance(value, nn.Parameter)
                memo[id(value)] = nn.Parameter(moved, False) if is_parameter else moved
    return copy.deepcopy(network, memo)
