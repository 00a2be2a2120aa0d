"""Claims: which trials are running, so that the next run knows what was interrupted."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

CLAIM_FORMAT = 1


class Claim(BaseModel):
    """A running trial: the process that runs the plan, since when, and which attempt it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = CLAIM_FORMAT
    key: str
    owner: int  # process id
    since: str
    attempt: int
