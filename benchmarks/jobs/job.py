"""What every job can do.

It makes itself ready when built, tells its contender's version and facts, and times a round.
"""

from __future__ import annotations

import importlib.metadata
import platform
from abc import ABC, abstractmethod

from benchmarks.contenders import CONTENDERS


class Job(ABC):
    peer: str

    @property
    def version(self) -> str:
        distribution = CONTENDERS[self.peer].distribution
        return (
            f"Python {platform.python_version()}"
            if distribution is None
            else importlib.metadata.version(distribution)
        )

    def facts(self) -> dict[str, float | str]:
        """Return what was found out besides times."""
        return {}

    @abstractmethod
    def round(self) -> dict[str, float]:
        """Seconds an operation, by the operation's name."""
