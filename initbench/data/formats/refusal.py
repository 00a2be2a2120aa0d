"""How every reader refuses a file."""

from __future__ import annotations

from pathlib import Path

from initbench.errors import UserError


def refusal(path: Path, expected: str, got: str) -> UserError:
    """Build the error for a file that is damaged, or another one than its name says."""
    return UserError(f"{path}: expected {expected}, got {got}; replace it with the official file")
