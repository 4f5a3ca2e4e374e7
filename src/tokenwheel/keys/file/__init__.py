"""A key set that follows a file: ``key_file`` is the set, and says what the others are for.

``file_changes`` is of no set: it is what operators do to such a file.
"""

from .file_stats import KeyFileStats
from .key_file import KeyFile

__all__ = ["KeyFile", "KeyFileStats"]
