"""The autoencoder of networks (Schürholt et al. 2021, section 3; 2022, section 2 and code).

Encoder: an affine map of each layer's tokens to width d, a learned compression token in front,
learned positions, then `layers` times, pre-norm,

    x <- x + attention(norm(x)),    x <- x + feed_forward(norm(x)),

and the compression token's output, affine to D numbers, through tanh. Decoder: affine from D to
(tokens, d), positions, as many layers of its own, an affine map of each layer's tokens back.

norm(x) = scale (x - mean) / (std + 1e-6) + shift, with the unbiased standard deviation and the
constant added to it, as in the code; PyTorch's layer norm has neither. None follows the last layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from initbench_hyperrep.tokens import TokenTable

_TINY = 1e-6


@dataclass(frozen=True)
class Sizes:
    """What the autoencoder consists of, the same for encoder and decoder."""

    width: int
    """Of tokens (d)."""
    feed_forward: int
    """Width of the hidden layer (f)."""
    layers: int
    heads: int
    latent: int
    """Numbers that stand for a network (D)."""
    dropout: float = 0.1


class Autoencoder(nn.Module):
    """Vectors (rows, size) to latents (rows, latent) within (-1, 1), and back."""

    def __init__(self, table: TokenTable, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = Encoder(table, sizes)
        self.decoder = Decoder(table, sizes)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return latents and what is decoded from them."""
        latents = self.encoder(rows)
        return latents, self.decoder(latents)


class Encoder(nn.Module):
    """Vectors (rows, size) to latents (rows, latent)."""

    def __init__(self, table: TokenTable, sizes: Sizes) -> None:
        super().__init__()
        self.table = table
        self.embeddings = nn.ModuleList(nn.Linear(x.length, sizes.width) for x in table.layers)
        self.compression = nn.Parameter(torch.randn(1, 1, sizes.width))
        self.positions = nn.Embedding(table.tokens + 1, sizes.width)
        self.blocks = nn.Sequential(*(Block(sizes) for _ in range(sizes.layers)))
        self.bottleneck = nn.Linear(sizes.width, sizes.latent)

    def forward(self, rows: Tensor) -> Tensor:
        first = self.compression.expand(len(rows), -1, -1)
        x = torch.cat([first, self.embedded(rows)], dim=1) + self.positions.weight
        return torch.tanh(self.bottleneck(self.blocks(x)[:, 0]))

    def embedded(self, rows: Tensor) -> Tensor:
        """Return the tokens of vectors, (rows, tokens, width), before positions are added."""
        parts = zip(self.table.layers, self.embeddings, self.table.blocks(rows), strict=True)
        return torch.cat([embed(layer.tokens(block)) for layer, embed, block in parts], dim=1)


class Decoder(nn.Module):
    """Latents (rows, latent) to vectors (rows, size)."""

    def __init__(self, table: TokenTable, sizes: Sizes) -> None:
        super().__init__()
        self.table = table
        self.expansion = nn.Linear(sizes.latent, table.tokens * sizes.width)
        self.positions = nn.Embedding(table.tokens, sizes.width)
        self.blocks = nn.Sequential(*(Block(sizes) for _ in range(sizes.layers)))
        self.embeddings = nn.ModuleList(nn.Linear(sizes.width, x.length) for x in table.layers)

    def forward(self, latents: Tensor) -> Tensor:
        positions = self.positions.weight
        x = self.blocks(self.expansion(latents).unflatten(1, positions.shape) + positions)
        parts = x.split([layer.neurons for layer in self.table.layers], dim=1)
        back = zip(self.table.layers, self.embeddings, parts, strict=True)
        return torch.cat([layer.untokened(embed(part)) for layer, embed, part in back], dim=1)


class Block(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention_norm, self.feed_forward_norm = Norm(sizes.width), Norm(sizes.width)
        self.attention = Attention(sizes)
        self.feed_forward = nn.Sequential(
            nn.Linear(sizes.width, sizes.feed_forward),
            nn.ReLU(),
            nn.Dropout(sizes.dropout),
            nn.Linear(sizes.feed_forward, sizes.width),
        )
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, x: Tensor) -> Tensor:
        attended: Tensor = x + self.dropout(self.attention(self.attention_norm(x)))
        found: Tensor = attended + self.dropout(self.feed_forward(self.feed_forward_norm(attended)))
        return found


class Attention(nn.Module):
    """Multi-head self-attention, with dropout of attention weights."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads, self.dropout = sizes.heads, sizes.dropout
        self.query, self.key, self.value, self.out = (
            nn.Linear(sizes.width, sizes.width) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        def of_heads(projected: Tensor) -> Tensor:
            return projected.view(*projected.shape[:2], self.heads, -1).transpose(1, 2)

        found = functional.scaled_dot_product_attention(
            of_heads(self.query(x)),
            of_heads(self.key(x)),
            of_heads(self.value(x)),
            dropout_p=self.dropout if self.training else 0.0,
        )
        projected: Tensor = self.out(found.transpose(1, 2).flatten(2))
        return projected


class Norm(nn.Module):
    """The norm of the code: unbiased standard deviation, constant added to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        std, mean = torch.std_mean(x, dim=-1, keepdim=True)
        normalised: Tensor = (x - mean) / (std + _TINY)
        return torch.addcmul(self.shift, self.scale, normalised)
