"""`initbench data`: which images are here, whether they are official, and how to get them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from initbench.cli.terminal import Terminal
from initbench.cli.working import Working
from initbench.errors import PluginError, UserError

if TYPE_CHECKING:
    from initbench.data.dataset import DataSet
    from initbench.plugin.registry import Registry, Resolved

_config = click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    help="Configure the data set, such as split=knyazev2022; may be repeated.",
)


@click.group(
    epilog="""\b
Examples:
  initbench data list
  initbench data fetch cifar10
"""
)
def data() -> None:
    """List, fetch, verify and look at data sets.

    INITBENCH_DATA names the folder in which their files are, in the layout of torchvision.
    """


@data.command(
    "list",
    epilog="""\b
Examples:
  initbench data list
  initbench data list | grep missing
""",
)
@click.pass_obj
def list_(terminal: Terminal) -> None:
    """List data sets, and whether their files are here."""
    from initbench.execution.run import data_root
    from initbench.plugin.hooks import Kind
    from initbench.plugin.registry import Registry

    registry, root = Registry.installed(), data_root()
    rows, broken = [], []
    for name in registry.names(Kind.DATASET):
        try:
            rows.append(_row(registry.dataset(name).thing, root))
        except PluginError as error:
            broken.append(str(error))
    terminal.table(
        "",
        ["name", "train / validation / test", "image", "classes", "memory", "files", "licence"],
        rows,
        numbers=["classes", "memory"],
        caption=f"data folder: {root or 'none; set INITBENCH_DATA'}",
    )
    for warning in [*registry.warnings, *broken]:
        terminal.warning(warning)


@data.command(
    epilog="""\b
Examples:
  initbench data where
  initbench data where pcam --set source=h5
"""
)
@click.argument("name", required=False)
@_config
@click.pass_obj
def where(terminal: Terminal, name: str | None, settings: tuple[str, ...]) -> None:
    """Show where files are looked for, and which are there.

    Without NAME: those of all data sets.
    """
    from initbench.execution.run import data_root
    from initbench.plugin.hooks import Kind
    from initbench.plugin.registry import Registry

    registry, root = Registry.installed(), data_root()
    if name is None and settings:
        raise UserError(
            "`--set` configures one data set: name it, as in `initbench data where pcam`"
        )
    names = registry.names(Kind.DATASET) if name is None else [name]
    datasets = [_resolved(registry, each, settings).thing for each in names]
    terminal.print_text(f"data folder  {root or 'none; set INITBENCH_DATA'}")
    for dataset in datasets:
        terminal.print_text(f"\n{dataset.name}")
        for line in _places(dataset, root):
            terminal.print_text(f"  {line}")


@data.command(
    short_help="Download the official files.",
    epilog="""\b
Examples:
  initbench data fetch mnist
  initbench data fetch cifar10
""",
)
@click.argument("name")
@_config
@click.pass_obj
def fetch(terminal: Terminal, name: str, settings: tuple[str, ...]) -> None:
    """Download the official files of a data set, check them, and put them in place.

    What was interrupted is continued. Where there is no network, or an account is needed, it says
    which file to put where.
    """
    from initbench.data.folder.fetch import fetch
    from initbench.plugin.registry import Registry

    dataset = _resolved(Registry.installed(), name, settings).thing
    root = _root()
    with Working(terminal) as working:
        for path in fetch(dataset, root, working):
            terminal.info(f"{path}")
    terminal.success(
        f"{name}: {'the official files are in place' if dataset.files() else 'needs no files'}"
    )


@data.command(
    short_help="Make files that are derived from others.",
    epilog="""\b
Examples:
  initbench data make cifar10c
  initbench data make cifar10c --set corruptions=all
""",
)
@click.argument("name")
@_config
@click.pass_obj
def make(terminal: Terminal, name: str, settings: tuple[str, ...]) -> None:
    """Make the files of a data set that can be made from others, such as CIFAR-10-C.

    What was interrupted is continued. A run makes what it needs by itself.
    """
    from initbench.plugin.registry import Registry

    dataset = _resolved(Registry.installed(), name, settings).thing
    root = _root()
    with Working(terminal) as working:
        dataset.make(root, working)
    for line in _places(dataset, root):
        terminal.print_text(line)


@data.command(
    short_help="Check files, images and splits.",
    epilog="""\b
Examples:
  initbench data verify mnist
  initbench data verify pcam --set source=h5
""",
)
@click.argument("name")
@_config
@click.pass_obj
def verify(terminal: Terminal, name: str, settings: tuple[str, ...]) -> int:
    """Check the files of a data set against official digests, and its splits against the contract.

    Reads every file again. Exits with 2 where something is wrong; files other than the official
    ones are not wrong, but their records are marked.
    """
    from initbench.data.conformance import check_dataset
    from initbench.data.folder.verify import verify
    from initbench.data.identify import identify
    from initbench.execution.run import data_root
    from initbench.plugin.registry import Registry

    resolved = _resolved(Registry.installed(), name, settings)
    dataset, root = resolved.thing, data_root()
    with Working(terminal) as working:
        verdicts = verify(dataset, root, working, recheck=True) if root else ()
        for verdict in verdicts:
            terminal.print_text(str(verdict))
        known = identify(dataset, resolved.reference.tree(), root, working)
        problems = check_dataset(dataset, root)
    terminal.print_text(
        "splits       " + " / ".join(f"{size:,} {name}" for name, size in known.sizes.items())
    )
    terminal.print_text(f"fingerprint  {known.fingerprint}")
    for remark in known.remarks:
        terminal.print_text(f"mark         {remark}")
    if problems:
        raise UserError(f"data set `{name}` does not keep its contract: {'; '.join(problems)}")
    terminal.success(f"{name}: the contract is kept")
    return 0


@data.command(
    short_help="Draw a contact sheet of images.",
    epilog="""\b
Examples:
  initbench data show mnist --output mnist.png
  initbench data show cifar10c --set corruptions=[fog,snow] --output weather.png
""",
)
@click.argument("name")
@_config
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The PNG file to write.",
)
@click.pass_obj
def show(terminal: Terminal, name: str, settings: tuple[str, ...], output: Path) -> None:
    """Draw a contact sheet: some images of every class, or of every corruption and severity."""
    from initbench.data.contact_sheet import contact_sheet
    from initbench.execution.run import data_root
    from initbench.plugin.registry import Registry

    dataset, root = _resolved(Registry.installed(), name, settings).thing, data_root()
    with Working(terminal) as working:
        if root is not None:
            dataset.make(root, working)
        sheet = contact_sheet(dataset, root)
    try:
        sheet.save(output, format="PNG")
    except OSError as error:
        raise UserError(f"cannot write `{output}`: {error.strerror or error}") from error
    terminal.info(f"{output}")


def _resolved(registry: Registry, name: str, settings: tuple[str, ...]) -> Resolved[DataSet[Any]]:
    return registry.dataset(name, dict(map(_setting, settings)))


def _setting(text: str) -> tuple[str, Any]:
    """Return key and value of `KEY=VALUE`, the value read as in a suite file."""
    from initbench.suite.yaml_reader import read_value

    key, separator, value = text.partition("=")
    if not separator or not key:
        raise UserError(f"--set {text}: expected KEY=VALUE, such as split=knyazev2022")
    return key, read_value(value, f"from --set {text}").plain()


def _root() -> Path:
    from initbench.execution.run import DATA_VARIABLE, data_root

    root = data_root()
    if root is None:
        raise UserError(
            f"there is no data folder: set {DATA_VARIABLE} to the folder in which data sets are to "
            "be kept"
        )
    return root


def _state(dataset: DataSet[Any], root: Path | None) -> str:
    """Say whether the files of a data set are here, without reading any."""
    from initbench.data.folder.filed import places_of

    declared = len(dataset.files())
    if declared == 0:
        return "none needed"
    found = sum(place.found is not None for place in places_of(dataset, root)) if root else 0
    return "here" if found == declared else f"{declared - found} of {declared} missing"


def _places(dataset: DataSet[Any], root: Path | None) -> Iterator[str]:
    """Yield a line for each file of a data set, and how to get those that are missing."""
    from initbench.data.folder.filed import advice, places_of

    if not dataset.files():
        yield "no files needed"
        return
    places = list(places_of(dataset, root or Path("$INITBENCH_DATA")))
    for place in places:
        state, path = ("here   ", place.found) if place.found else ("missing", place.expected[0])
        yield f"{state}  {path}"
    if any(place.found is None for place in places):
        yield advice(dataset)


def _row(dataset: DataSet[Any], root: Path | None) -> list[str]:
    from initbench.formatting import byte_size

    return [
        dataset.name,
        _images(dataset),
        f"{dataset.channels} x {dataset.native_size} x {dataset.native_size}",
        str(dataset.classes),
        "streamed" if dataset.streamed else byte_size(_bytes(dataset)),
        _state(dataset, root),
        dataset.licence,
    ]


def _images(dataset: DataSet[Any]) -> str:
    sizes = dataset.split_sizes()
    return "as in its files" if sizes is None else " / ".join(f"{n:,}" for n in sizes.values())


def _bytes(dataset: DataSet[Any]) -> int | None:
    from initbench.data.memory import resident_bytes

    sizes = dataset.split_sizes()
    if sizes is None:
        return None
    return resident_bytes(sizes, dataset.channels, dataset.native_size)
