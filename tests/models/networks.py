"""Small networks, each with one property that makes it hard to see what follows a layer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Functional(nn.Module):
    """One linear layer, then a function of torch or a method of its output."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.function(self.linear(x)))


class Residual(nn.Module):
    """Two convolutions, the skip added before the last activation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 3, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(3)
        self.conv2 = nn.Conv2d(3, 3, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(3)
        self.shortcut = nn.Conv2d(3, 3, 1)
        self.act = nn.ELU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        out = self.norm2(self.conv2(out))
        out += self.shortcut(x)
        return self.act(out)


class Branches(nn.Module):
    """A trunk whose output is taken up twice: at once by a tanh, later by a ReLU."""

    def __init__(self, left_first: bool) -> None:
        super().__init__()
        self.left_first = left_first
        self.trunk = nn.Linear(4, 4)
        self.left = nn.Linear(4, 2)
        self.right = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.trunk(x)
        if self.left_first:
            left = self.left(torch.tanh(x))
        right = self.right(functional.relu(functional.dropout(x.view(-1, 4) * 2, 0.5)))
        if not self.left_first:
            left = self.left(torch.tanh(x))
        return functional.log_softmax(left + right, dim=1)


class Standardised(nn.Conv2d):
    """A convolution of somebody's own, which works on its weight before it uses it."""

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight - self.weight.mean()) / self.weight.std()
        return functional.conv2d(x, weight, self.bias)


class Reused(nn.Module):
    """One layer applied three times, one activation module used for different layers."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(4, 4)
        self.other = nn.Linear(4, 4)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.shared(x))
        x = torch.tanh(self.shared(x))
        return self.act(self.other(self.shared(x)))


class AsksForShapes(nn.Module):
    """The size of the convolution's output feeds a ReLU; the output itself does not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 2)
        self.offset = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        offset = functional.relu(self.offset * x.size(2) * x.shape[3])
        return self.head(x.flatten(2).mean(2)) + offset


class KnowsPositions(nn.Module):
    """A buffer feeds a ReLU, the parameter beside it does not; the shortcut is computed first."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("positions", torch.arange(4.0))
        self.scale = nn.Parameter(torch.ones(4))
        self.body = nn.Linear(4, 4)
        self.shortcut = nn.Linear(4, 4)
        self.places = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.places(functional.relu(self.get_buffer("positions") + 1))
        shortcut = self.shortcut(x * self.scale)
        return self.head(self.body(x + bias) + shortcut)


class LooksAtValues(nn.Module):
    """A forward method that torch.fx cannot follow."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.second = nn.Linear(4, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.norm(self.first(x)))
        if x.sum() > 1e9:
            x = -x
        return self.head(functional.leaky_relu(self.second(x), 0.3))


class RegistersInAnotherOrder(nn.Module):
    """The layer that is called first is registered last."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)
        self.body = nn.Linear(4, 4)
        self.stem = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.body(torch.relu(self.stem(x)))))


class Language(nn.Module):
    """Embedding, attention, layer norm, parameters of its own, and a head tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.position = nn.Parameter(torch.zeros(5, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.wide = nn.Linear(8, 16)
        self.narrow = nn.Linear(16, 8)
        self.head = nn.Linear(8, 11)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.position
        x = x + self.attention(x, x, x, need_weights=False)[0]
        x = x + self.narrow(functional.gelu(self.wide(self.norm(x))))
        return self.head(x).softmax(-1)


class WritesToItself(nn.Module):
    """A forward method that counts its calls and leaves what it saw in the module."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.last: Tensor | None = None
        self.register_buffer("calls", torch.zeros(1))
        self.half = self.linear.weight / 2  # not a leaf of the graph

    def forward(self, x: Tensor) -> Tensor:
        self.get_buffer("calls").add_(1)
        self.last = torch.relu(self.linear(x))
        return self.last
