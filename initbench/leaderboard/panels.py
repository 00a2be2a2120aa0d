"""Small multiples: panels side by side, a column for each initialiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from initbench.leaderboard import svg
from initbench.leaderboard.plots import WIDTH
from initbench.leaderboard.text import shortened

COLUMNS = 4
"""So many initialisers stand side by side; further ones begin a new block below."""

LAYERS = 8
"""As many layers are drawn; of more, some at equal distances, the first and the last included."""

SIGMA = "\N{GREEK SMALL LETTER SIGMA}"

_TITLE = 24.0
_AXIS = 34.0
_CHARACTER = 7.2  # width of one, at most
_LONGEST = 8  # letters of a name beside a panel


@dataclass(frozen=True)
class Grid:
    """Where panels are drawn: blocks of rows and columns, with a title above each column."""

    count: int  # of initialisers
    rows: int
    row_height: float  # of a panel with the strip of text above it
    left: float = 74.0
    columns: int = COLUMNS
    gap: float = 14.0
    strip: float = 15.0

    @property
    def height(self) -> float:
        """The height of the whole plot."""
        return -(-self.count // self.columns) * self._block + 6

    def x(self, index: int) -> svg.Span:
        """Return where the panels of an initialiser begin and end, as a span from 0 to 1."""
        across = min(self.count, self.columns)
        width = (WIDTH - self.left - 8 - (across - 1) * self.gap) / across
        start = self.left + (index % self.columns) * (width + self.gap)
        return svg.Span(0.0, 1.0, start, start + width)

    def y(self, index: int, row: int) -> svg.Span:
        """Return where a panel begins and ends, from its bottom (0) to its top (1)."""
        top = self.title_y(index) + 10 + row * self.row_height
        return svg.Span(0.0, 1.0, top + self.row_height - 8, top + self.strip)

    def title_y(self, index: int) -> float:
        """Return the baseline of the title of a column."""
        return index // self.columns * self._block + 16

    def is_first(self, index: int) -> bool:
        """Say whether a column is the first of its block, which has the names of rows."""
        return index % self.columns == 0

    def add_title(self, parent: Element, index: int, text: str) -> None:
        """Write a title above a column."""
        x = self.x(index)
        room = int((x.end - x.start) / _CHARACTER)
        svg.label(parent, x.start, self.title_y(index), shortened(text, room), "name")

    @property
    def _block(self) -> float:
        return _TITLE + self.rows * self.row_height + _AXIS


def chosen(layers: Sequence[str]) -> list[int]:
    """Return the positions of the layers that are drawn.

    >>> chosen([str(i) for i in range(20)])
    [0, 3, 5, 8, 11, 14, 16, 19]
    """
    if len(layers) <= LAYERS:
        return list(range(len(layers)))
    return [round(i * (len(layers) - 1) / (LAYERS - 1)) for i in range(LAYERS)]


def local(layer: str) -> str:
    """Return the name of a layer within the main network.

    >>> local("main.linear1"), local("conv1")
    ('linear1', 'conv1')
    """
    return layer.removeprefix("main.")


def names(layers: Sequence[str]) -> dict[str, str]:
    """Return what each layer is called where there is little room: its name, or its place.

    >>> names(["main.linear1", "main.head"])
    {'main.linear1': 'linear1', 'main.head': 'head'}
    >>> names(["conv", "stage1_block1.conv1"])
    {'conv': 'layer 1', 'stage1_block1.conv1': 'layer 2'}
    """
    if max(len(local(layer)) for layer in layers) <= _LONGEST:
        return {layer: local(layer) for layer in layers}
    return {layer: f"layer {place}" for place, layer in enumerate(layers, start=1)}


def number(x: float | None) -> str:
    """Write a number in little room.

    >>> number(0.0446), number(1234.5), number(-1e5), number(3e14), number(None)
    ('0.045', '1200', '−1e5', '3e14', 'not finite')
    """
    if x is None:
        return "not finite"
    text = f"{x:.2g}"
    if 100 <= abs(x) < 9950:
        text = f"{float(text):.0f}"
    mantissa, exponent, power = text.partition("e")
    return f"{mantissa}e{int(power)}".replace("-", "−") if exponent else text.replace("-", "−")


def diverged(steps: Sequence[int], last: int) -> str:
    """Say that no trial of an initialiser came to the last step; empty where one did.

    >>> diverged([0, 100], 500), diverged([0, 500], 500)
    ('diverged', '')
    """
    return "" if steps[-1] == last else "diverged"


def some_of(layers: Sequence[Sequence[str]]) -> str:
    """Say which layers of several networks are drawn; empty where all are, under their names.

    >>> some_of([["conv", "fc"]]), some_of([[str(i) for i in range(20)]])
    ('', '8 of 20 layers')
    >>> some_of([[f"stage{i}_block1.conv" for i in range(20)]])
    '8 of 20 layers, counted in forward order'
    """
    all_of_them = list(dict.fromkeys(name for one in layers for name in one))
    if not all_of_them:
        return ""
    drawn, counted = len(chosen(all_of_them)), names(all_of_them)
    some = f"{drawn} of {len(all_of_them)} layers" if drawn < len(all_of_them) else ""
    by_place = any(called != local(layer) for layer, called in counted.items())
    return ", ".join(filter(None, [some, "counted in forward order" if by_place else ""]))
