from __future__ import annotations

from tests.plugin.worlds import world

__all__ = ["world"]
