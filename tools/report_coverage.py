"""Reports what was measured in build/coverage, with every line of ext/*.pxd counted.

Cython's coverage plugin takes a .pxd for unknown until it happens to have read the C of a module
that includes it, and then counts only the lines which the last such module uses. This one reads the
C of every module first and unites what each says of a file. It can go when Cython.Coverage does so
by itself. Cython's files are measured by line: the plugin knows no branches.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import Cython.Coverage
from coverage.cmdline import main


class Plugin(Cython.Coverage.Plugin):  # type: ignore[misc]
    """Keeps the name under which the data files know their plugin."""

    def file_reporter(self, filename: str) -> Any:
        """Return the lines of a file, out of the C of all modules that include it."""
        if self._c_files_map is None:
            union: dict[str, dict[int, str]] = {}
            for c_file in sorted(Path("ext").resolve().glob("*.c")):
                self._read_source_lines(str(c_file), filename)
                for path, (_, _, lines) in self._c_files_map.items():
                    union[path] = union.get(path, {}) | lines
            self._c_files_map = {
                path: (c_file, name, union[path])
                for path, (c_file, name, _) in self._c_files_map.items()
            }
        return super().file_reporter(filename)


if __name__ == "__main__":
    Cython.Coverage.Plugin = Plugin
    main(["html", "--quiet", "--fail-under=0"])
    sys.exit(main(["report"]))
