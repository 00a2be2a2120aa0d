"""Commands of the terminal: `initbench graph`, `embeddings` and `fetch-ghn`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from initbench.api import UserError, example_network
from initbench_ghn.files import find

if TYPE_CHECKING:
    from initbench_ghn.network import GHN

RELEASED = "ghn2_imagenet.pt"

Command = TypeVar("Command", bound=Callable[..., Any])

_classes = click.option(
    "--classes", type=click.IntRange(min=1), default=10, show_default=True, help="Of the networks."
)
_channels = click.option(
    "--channels", type=click.IntRange(min=1), default=3, show_default=True, help="Of the images."
)


def _output(default: str) -> Callable[[Command], Command]:
    path = click.Path(dir_okay=False, path_type=Path)
    return click.option(
        "--output", type=path, default=default, show_default=True, help="The SVG file to write."
    )


@click.command(
    epilog="""\b
Examples:
  initbench graph resnet50
  initbench graph '{name: cifar_resnet, depth: 32}' --output resnet32.svg
"""
)
@click.argument("model")
@_classes
@_channels
@_output("graph.svg")
def graph(model: str, classes: int, channels: int, output: Path) -> None:
    """Draw the graph of MODEL that a graph hypernetwork sees, and count.

    MODEL is written as in a suite. Shares are those of the parameters that can be predicted, and of
    what becomes of the others.
    """
    from initbench_ghn.account import account
    from initbench_ghn.picture import picture
    from initbench_ghn.svg import save
    from initbench_ghn.tracing import trace

    example = example_network(model, channels=channels, classes=classes)
    found = trace(example.network, example.image)
    shapes = {name: tuple(p.shape) for name, p in example.network.named_parameters()}
    title = f"{example.label}, images of {' x '.join(map(str, example.image))}"
    click.echo(title)
    for line in account(found, example.anatomy, shapes).lines():
        click.echo(line)
    save(picture(found, title), output)
    click.echo(f"{output}", err=True)


@click.command(
    epilog="""\b
Examples:
  initbench embeddings resnet50 convnext_base mobilenet_v1 timm/vit_tiny_patch16_224
  initbench embeddings cifar_resnet mlp zoo_cnn --checkpoint ghn2_cifar10.pt
"""
)
@click.argument("models", nargs=-1, required=True)
@click.option(
    "--checkpoint",
    metavar="FILE",
    help=f"A graph hypernetwork: a path, or a file of the data folder  [default: {RELEASED}]",
)
@_classes
@_channels
@_output("embeddings.svg")
def embeddings(
    models: tuple[str, ...], checkpoint: str | None, classes: int, channels: int, output: Path
) -> None:
    """Draw where MODELS lie as a graph hypernetwork sees them.

    Their embeddings are brought to the plane by principal components. Without a checkpoint, a
    hypernetwork with random weights looks at them, and the drawing says so.
    """
    from initbench_ghn import scatter
    from initbench_ghn.svg import save
    from initbench_ghn.tracing import trace

    if len(models) < 3:
        raise UserError(f"principal components need three models or more, got {len(models)}")
    ghn, origin = _hypernetwork(checkpoint)
    examples = [example_network(x, channels=channels, classes=classes) for x in models]
    graphs = [trace(x.network, x.image) for x in examples]
    found = scatter.components(scatter.embeddings(ghn, graphs))
    shares = ", ".join(f"{100 * share:.1f} %" for share in found.shares)
    click.echo(f"{origin}; shares of variance {shares}")
    for example, place in zip(examples, found.places.tolist(), strict=True):
        click.echo(f"{place[0]:10.4f} {place[1]:10.4f}  {example.label}")
    labels = [example.label for example in examples]
    save(scatter.scatter(found, labels, f"Embeddings of architectures: {origin}"), output)
    click.echo(f"{output}", err=True)


@click.command(
    "fetch-ghn",
    epilog="""\b
Examples:
  initbench fetch-ghn ghn2_imagenet.pt
  initbench fetch-ghn ghn2_cifar10.pt
""",
)
@click.argument("name")
def fetch_ghn(name: str) -> None:
    """Download the released checkpoint NAME, check it, and put it into the data folder."""
    from initbench_ghn.download import fetch

    click.echo(f"{fetch(name)}")


def _hypernetwork(checkpoint: str | None) -> tuple[GHN, str]:
    """Return a hypernetwork, and what it is."""
    import torch

    from initbench_ghn.architecture import Architecture
    from initbench_ghn.checkpoint import load
    from initbench_ghn.network import GHN

    path = find(checkpoint or RELEASED)
    if path is not None:
        return load(path), path.name
    if checkpoint is not None:
        raise UserError(f"there is no checkpoint `{checkpoint}`; docs/ghn.md says where to get one")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = GHN(Architecture(max_shape=(64, 64, 16, 16), num_classes=1000))
    return whole.eval(), "a GHN-2 with random weights"
