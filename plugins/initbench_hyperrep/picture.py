"""Figure 2 of Schürholt et al. 2022: how the weights of each layer are distributed.

Three histograms a layer, as planes of an artifact's picture: test networks, what the autoencoder
makes of them, and samples. All three have the same bins and the same scale.
"""

from __future__ import annotations

import torch
from torch import Tensor

from initbench_hyperrep.tokens import TokenTable

BINS, HEIGHT = 64, 32
_TAILS = 0.001  # of the originals, that lie beyond the first and the last bin


def histograms(
    table: TokenTable, original: Tensor, reconstructed: Tensor, sampled: Tensor
) -> dict[str, Tensor]:
    """Return `examples.TITLE` tensors (3, height, bins) for vectors (rows, size), by layer."""
    found = {}
    blocks = zip(*(table.blocks(x) for x in (original, reconstructed, sampled)), strict=True)
    for i, (layer, three) in enumerate(zip(table.layers, blocks, strict=True)):
        ordered = three[0].flatten().sort().values
        tail = int(_TAILS * (len(ordered) - 1))
        low, high = float(ordered[tail]), float(ordered[-1 - tail])
        if high <= low:
            low, high = low - 0.5, low + 0.5
        shares = [_share(x, low, high) for x in three]
        top = max(float(x.max()) for x in shares)
        title = (
            f"{i:02} {layer.weight} from {low:.2g} to {high:.2g}: original, reconstructed, sampled"
        )
        found[f"examples.{title}"] = torch.stack([_bars(x / top) for x in shares])
    return found


def _share(block: Tensor, low: float, high: float) -> Tensor:
    """Return the share of values in each bin; those outside are in none."""
    return torch.histc(block.flatten(), BINS, low, high) / block.numel()


def _bars(heights: Tensor) -> Tensor:
    """Draw heights in (0, 1) as bars, (height, bins): 1 where a bar is, 0 above."""
    levels = torch.arange(HEIGHT, 0, -1)[:, None] - 0.5
    return (levels <= heights * HEIGHT).float()
