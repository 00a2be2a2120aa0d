"""initbench: the benchmark of weight initialisers.

Importing this package loads neither torch nor mlflow.
"""

from __future__ import annotations

# Not on first use: the import of the module would then put it in the place of its function.
from initbench.initialise import initialise

__version__ = "0.1.0"

__all__ = ["__version__", "initialise"]
