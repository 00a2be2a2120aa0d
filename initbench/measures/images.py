"""On which images networks are looked at: a setting that several measures have."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from initbench.probes.probe import ProbeImages


class OtherImages(BaseModel):
    """A data set by name, with its configuration as further keys."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str


On = str | OtherImages | None
"""A data set, by name alone or with its configuration; None: the one networks were trained on."""


def probe_images(on: On) -> ProbeImages | None:
    """Return the data set to look at, as a probe asks for it."""
    if on is None:
        return None
    return ProbeImages(on) if isinstance(on, str) else ProbeImages(on.name, _config(on))


def images_label(on: On) -> str:
    """Return a short name of the data set, such as `cifar10c-3`; empty for None."""
    if not isinstance(on, OtherImages):
        return on or ""
    # How many images a subset has is among the remarks on the data.
    shown = [k if k == "subset" else _short(value) for k, value in _config(on).items()]
    return "-".join([on.name, *shown])


def _config(on: OtherImages) -> dict[str, Any]:
    return dict(on.__pydantic_extra__ or {})


def _short(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(x, str) for x in value):
        return "+".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
