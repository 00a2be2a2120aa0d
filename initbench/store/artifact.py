"""Stored artifacts: fitted states, prepared data, observations and foreign zoos, by key."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from initbench.store.record import Blob, Cost, Failure, TrialStatus

ARTIFACT_FORMAT = 1


class StoredArtifact(BaseModel):
    """A fitted state, prepared data set, observation or foreign zoo: whole or absent.

    Its tensors lie in `blob`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = ARTIFACT_FORMAT
    key: str
    kind: Literal["fit", "data", "observation", "foreign_zoo"]
    identity: dict[str, Any]
    status: TrialStatus
    failure: Failure | None = None
    description: dict[str, Any] = {}
    blob: Blob | None = None
    cost: Cost
    environment: dict[str, Any]
