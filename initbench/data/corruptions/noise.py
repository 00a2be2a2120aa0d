"""Noise: Gaussian, shot, impulse, speckle.

Definitions and constants are those of the CIFAR-10 script of Hendrycks and Dietterich (2019),
"Benchmarking neural network robustness to common corruptions and perturbations".

Every function takes images (n, 32, 32, 3; uint8, RGB), a severity from 1 to 5 and a stream of
random numbers, and returns new images of the same shape and type. Random numbers are drawn value
by value in the order of the original, so several images give what each gives after the other.
"""

from __future__ import annotations

from numpy.random import RandomState

from initbench.data.corruptions.pixels import Bytes, Floats, transformed


def gaussian_noise(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` with normal noise added: that of a sensor in low light."""
    deviation = (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1]
    return transformed(images, lambda x: x + draws.normal(scale=deviation, size=x.shape))


def shot_noise(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` counted in photons, `rate` for white: Poisson(rate x) / rate."""
    rate = (500, 250, 100, 75, 50)[severity - 1]
    return transformed(images, lambda x: draws.poisson(x * rate) / rate)


def impulse_noise(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` with salt (1) and pepper (0), equally likely, in place of a share of values.

    The channels of a pixel are struck independently. The original draws with a generator that it
    cannot seed, so there is no order of draws to keep: here one number decides for each value.
    """
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]

    def struck(x: Floats) -> Floats:
        fate = draws.random_sample(x.shape)
        x[fate < share / 2] = 0
        x[fate >= 1 - share / 2] = 1
        return x

    return transformed(images, struck)


def speckle_noise(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` with normal noise added that is proportional to each value."""
    deviation = (0.06, 0.10, 0.12, 0.16, 0.20)[severity - 1]
    return transformed(images, lambda x: x + x * draws.normal(scale=deviation, size=x.shape))
