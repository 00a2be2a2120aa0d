"""Small image files for tests: photographs without a photographer."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def pixels(seed: int, width: int, height: int) -> np.ndarray:
    """Smooth colours, another picture for each seed: (height, width, 3)."""
    draws = np.random.default_rng(seed)
    waves = draws.uniform(0.02, 0.3, (3, 2))
    phase = draws.uniform(0, 6, (3, 1, 1))
    y, x = np.mgrid[:height, :width]
    levels = [np.sin(a * y + b * x + p) for (a, b), p in zip(waves, phase, strict=True)]
    return (np.stack(levels, axis=-1) * 127 + 128).astype(np.uint8)


def photograph(seed: int, width: int = 80, height: int = 60, mode: str = "RGB") -> Image.Image:
    return Image.fromarray(pixels(seed, width, height)).convert(mode)


def save(image: Image.Image, path: Path, kind: str = "JPEG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, kind)
    return path


def jpeg(seed: int, width: int = 80, height: int = 60) -> bytes:
    file = io.BytesIO()
    photograph(seed, width, height).save(file, "JPEG")
    return file.getvalue()
