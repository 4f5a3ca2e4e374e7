"""The directive ``navigation``: a toctree that passes over pages which are not there.

A page that is there and in no toctree is a warning of Sphinx's own, so no page is lost by a slip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils.statemachine import StringList
from sphinx.directives.other import TocTree

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


class Navigation(TocTree):
    """List the pages that exist, in the order given."""

    def run(self) -> list[nodes.Node]:
        """Return the toctree."""
        folder = self.env.docname.rpartition("/")[0]
        known = self.env.found_docs
        there = [name for name in self.content if f"{folder}/{name}".lstrip("/") in known]
        self.content = StringList(there, source=self.env.docname)
        return super().run()


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("navigation", Navigation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
