"""The directive ``error-table``: each public error with its ``code`` and HTTP ``status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from tokenwheel import errors
from tokenwheel.web import errors as web_errors

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class ErrorTable(SphinxDirective):
    """Write the table from the classes themselves."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        lines = ["| error | `code` | `status` |", "| --- | --- | --- |"]
        for home, module in (("tokenwheel", errors), ("tokenwheel.web", web_errors)):
            for name in module.__all__:
                error = getattr(module, name)
                link = f"{{py:class}}`~{home}.{name}`"
                lines.append(f"| {link} | `{error.code}` | {error.status} |")
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, source="error-table"), 0, parent)
        return parent.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("error-table", ErrorTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
