"""From the end of the horizontal stream to codes, most of them by rounded logits.

Two layers turn the stream into logits, and they are most of the work. Processors multiply bfloat16
at twice the speed of float32 or more, but the distribution q by logits from rounded numbers is not
that of the prior, p. Rounding makes no code much likelier, though. Where (1 - d) q <= p for all
codes, p is a mixture:

    p = (1 - d) q + d r,    r = (p - (1 - d) q) / d

A share of 1 - d of all codes is drawn from q, with no need of p, and the others from r, with logits
in full. What is drawn then has the distribution p. `share_in_full` measures d, with room to spare;
this is no proof that d is large enough everywhere. Where it were not, what q has too much would be
left in: (1 - d) q - p, summed over the codes for which that is positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import torch
from initbench_slices.stacking import look_up
from torch import Tensor

from initbench_vqvae.halved import HalvedNetwork, HeadLayers

_LEAST_IN_FULL = 1 / 64
_ROOM = 4  # with 2, some ends of a real fit needed 3 % more than there was
_ROWS_AT_ONCE = 1024  # on a CPU: so the many units of the last layers stay in caches


class Head:
    """Chooses the codes of all positions; tensors are made once."""

    def __init__(self, network: HalvedNetwork, in_full: Tensor, uniform: Tensor) -> None:
        """Begin.

        Args:
            network: of each block.
            in_full: the share d of each block, (blocks,).
            uniform: the numbers that choose, (positions, blocks, rows).
        """
        blocks, rows = uniform.shape[1:]
        by_rounded = 1 - in_full[:, None]
        self._layers, self._by_rounded = network.head, by_rounded[..., None]
        self._uniform, self._late = uniform / by_rounded, _Late.of(uniform, by_rounded)
        self._at_once = max(_ROWS_AT_ONCE // blocks, 1) if uniform.device.type == "cpu" else rows
        self._rounded = _Rounded(network.rounded_head, min(rows, self._at_once))
        codes = network.embedding.shape[1]
        self._logits = network.rounded_head.output.new_empty(blocks, rows, codes)

    def choose(self, h: Tensor, place: int) -> Tensor:
        """Return the codes (blocks, rows) at a position, at which the stream ends in `h`."""
        own = (x.split(self._at_once, dim=1) for x in (h, self._uniform[place], self._logits))
        chosen = []
        for rows, uniform, logits in zip(*own, strict=True):
            self._rounded.write(rows, logits)
            chosen.append(invert(passed(logits), uniform))
        codes = torch.cat(chosen, dim=1)
        if self._late.most:
            self._choose_in_full(h, place, codes)
        return codes

    def _choose_in_full(self, h: Tensor, place: int, codes: Tensor) -> None:
        """Overwrite the codes that are not to be drawn by rounded logits."""
        late, rows = self._late, self._late.rows[place]
        wanted = distribution(logits(self._layers, look_up(h, rows)))
        had = distribution(look_up(self._logits, rows))
        rest = wanted.sub_(had.mul_(self._by_rounded)).clamp_min_(0)
        found = invert(rest.cumsum_(2), late.uniform[place])
        found = torch.where(late.is_late[place], found, codes.gather(1, rows))
        codes.scatter_(1, rows, found)


@dataclass(frozen=True)
class _Late:
    """Rows that need logits in full, (positions, blocks, `most`), filled up with others."""

    most: int
    rows: Tensor
    uniform: Tensor
    is_late: Tensor

    @classmethod
    def of(cls, uniform: Tensor, by_rounded: Tensor) -> Self:
        """Find them: those with the largest numbers, whose share is then drawn from anew."""
        most = int((uniform >= by_rounded).sum(2).max())
        largest, rows = uniform.topk(most, dim=2)
        anew = (largest - by_rounded) / (1 - by_rounded)
        return cls(most, rows, anew.clamp_min(0), anew >= 0)


class _Rounded:
    """Computes logits from rounded numbers, of so many rows at once."""

    def __init__(self, layers: HeadLayers, rows: int) -> None:
        self._layers = layers
        blocks, width_and_one, units = layers.hidden.shape
        empty = layers.hidden.new_empty
        self._with_one = empty(blocks, rows, width_and_one).fill_(1)
        self._hidden = empty(blocks, rows, units)

    def write(self, h: Tensor, out: Tensor) -> None:
        """Write the logits where the stream ends in `h`."""
        layers, rows = self._layers, h.shape[1]
        with_one, hidden = self._with_one[:, :rows], self._hidden[:, :rows]
        with_one[..., :-1] = h
        _rounded_product(None, with_one, layers.hidden, out=hidden)
        # Rectified: what is negative as bfloat16 is so as an integer, and this is quicker by far.
        hidden.view(torch.int16).clamp_min_(0)
        _rounded_product(layers.output_bias, hidden, layers.output, out=out)


def share_in_full(network: HalvedNetwork, h: Tensor, p: Tensor) -> Tensor:
    """Return the share d of each model's codes that must be drawn by logits in full.

    Several times what is needed where the stream ends in `h`, as other ends may need more. A power
    of 1/2, so that it is the same on machines that sum up in other orders.

    Args:
        network: of each model.
        h: (models, rows, width).
        p: distributions there, (models, rows, codes).
    """
    rounded = torch.empty_like(p, dtype=torch.bfloat16)
    _Rounded(network.rounded_head, h.shape[1]).write(h, rounded)
    q = distribution(rounded)
    needed = ((q - p) / q.clamp_min(1e-30) * (q > 1e-6)).amax((1, 2))
    return (_ROOM * needed).clamp(_LEAST_IN_FULL, 1).log2().ceil().exp2()


def logits(layers: HeadLayers, h: Tensor) -> Tensor:
    """Return logits in full (blocks, rows, codes) where the stream ends in `h`."""
    hidden = torch.baddbmm(layers.hidden[:, -1:], h, layers.hidden[:, :-1]).relu_()
    return torch.baddbmm(layers.output_bias, hidden, layers.output)


def distribution(logits: Tensor) -> Tensor:
    """Return the probabilities of the codes, which are in the last dimension."""
    return logits.softmax(2, dtype=torch.float32)


def passed(logits: Tensor) -> Tensor:
    """Return the distribution function over the codes."""
    return distribution(logits).cumsum_(2)


def invert(passed: Tensor, uniform: Tensor) -> Tensor:
    """Return for each row the code at which the distribution function passes `uniform`.

    Args:
        passed: (blocks, rows or 1, codes), up to any total.
        uniform: shares of the total, (blocks, rows).
    """
    wanted = uniform[..., None] * passed[:, :, -1:]
    if passed.shape[1] < wanted.shape[1]:  # one function for all rows
        found = torch.searchsorted(passed[:, 0], wanted[..., 0], right=True)
    else:
        found = torch.searchsorted(passed, wanted, right=True)[..., 0]
    # A uniform number of nearly 1 may be rounded up to the end.
    return found.clamp_max_(passed.shape[2] - 1)


def _rounded_product(bias: Tensor | None, x: Tensor, y: Tensor, out: Tensor) -> None:
    """Multiply matrices of bfloat16, summing up in float32, and round the result."""
    if not _multiplies_bfloat16(x.device):
        x, y = x.float(), y.float()
        out.copy_(torch.bmm(x, y) if bias is None else torch.baddbmm(bias.float(), x, y))
    elif bias is None:
        torch.bmm(x, y, out=out)
    else:
        torch.baddbmm(bias, x, y, out=out)


@lru_cache
def _multiplies_bfloat16(device: torch.device) -> bool:
    """Say whether a device does so itself; on others PyTorch takes far longer than with float32."""
    if device.type != "cpu":
        return True
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16"))
