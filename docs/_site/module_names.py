"""The directive ``module-names``: a module's docstring, and all that its ``__all__`` names.

``automodule`` sees no names that a module imports when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class ModuleNames(SphinxDirective):
    """Describe the module that is the argument."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Return the descriptions."""
        name = self.arguments[0]
        module = import_module(name)
        lines = ["```{eval-rst}", f".. automodule:: {name}", ""]
        for public in module.__all__:
            kind = "class" if isinstance(getattr(module, public), type) else "function"
            lines += [f".. auto{kind}:: {name}.{public}"]
            lines += ["   :members:", ""] if kind == "class" else [""]
        lines.append("```")
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, source="module-names"), 0, parent)
        return parent.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("module-names", ModuleNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
