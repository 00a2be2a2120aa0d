"""Digital changes: contrast, pixelation, JPEG; with brightness and saturation, which are alike.

Definitions and constants are those of the CIFAR-10 script of Hendrycks and Dietterich (2019),
"Benchmarking neural network robustness to common corruptions and perturbations". (Elastic
transformations have a module of their own.)

Every function takes images (n, 32, 32, 3; uint8, RGB), a severity from 1 to 5 and a stream of
random numbers, from which nothing is drawn, and returns new images of the same shape and type.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.random import RandomState
from PIL import Image

from initbench.data.corruptions.pixels import Bytes, Floats, hsv_to_rgb, rgb_to_hsv, transformed


def contrast(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` with every value closer to the mean of its channel and image."""
    factor = (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]

    def flattened(x: Floats) -> Floats:
        mean = x.mean(axis=(1, 2), keepdims=True)
        result: Floats = (x - mean) * factor + mean
        return result

    return transformed(images, flattened)


def brightness(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` with a constant added to the value of every colour (as in HSV)."""
    added = (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]

    def brightened(x: Floats) -> Floats:
        hue, saturation, value = rgb_to_hsv(x)
        return hsv_to_rgb(hue, saturation, np.minimum(value + added, 1))

    return transformed(images, brightened)


def saturate(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` paler (severities 1 and 2) or more colourful: saturation s is a s + b."""
    a, b = ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))[severity - 1]

    def saturated(x: Floats) -> Floats:
        hue, saturation, value = rgb_to_hsv(x)
        return hsv_to_rgb(hue, np.clip(a * saturation + b, 0, 1), value)

    return transformed(images, saturated)


def pixelate(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` reduced to fewer pixels and enlarged again, both with a box filter."""
    count, height, width, channels = images.shape
    side = (30, 28, 27, 24, 20)[severity - 1]
    # All images as one strip: a box ends with its image. Rows before columns, as Pillow goes about
    # a single image; for a long strip it would choose the other order, which rounds differently.
    strip = Image.fromarray(images.reshape(count * height, width, channels))
    narrowed = strip.resize((side, count * height), Image.Resampling.BOX)
    reduced = narrowed.resize((side, count * side), Image.Resampling.BOX)
    enlarged = reduced.resize(strip.size, Image.Resampling.BOX)
    return np.array(enlarged).reshape(images.shape)


def jpeg_compression(images: Bytes, severity: int, draws: RandomState) -> Bytes:
    """Return `images` as JPEG gives them back; other versions of its library give other levels."""
    quality = (80, 65, 58, 50, 40)[severity - 1]
    result = np.empty_like(images, order="C")
    for before, after in zip(images, result, strict=True):
        file = BytesIO()
        Image.fromarray(before).save(file, "JPEG", quality=quality)
        after[:] = Image.open(file, formats=("JPEG",))
    return result
