"""References to a class by any of its names lead to where it is described.

A class is described under the name that users import. Annotations name the module that defines it,
or nothing but the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


def _find(
    app: Sphinx, env: BuildEnvironment, node: Any, contnode: nodes.TextElement
) -> nodes.Node | None:
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    last = node["reftarget"].rpartition(".")[2]
    home = node["reftarget"].partition(".")[0]
    if "." in node["reftarget"] and home != "tokenwheel":
        return None  # Another package's class of that name.
    described = sorted(
        name
        for name, entry in domain.objects.items()
        if name.rpartition(".")[2] == last and not entry.aliased and entry.objtype != "method"
    )
    if len(described) != 1:
        return None
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, "obj", described[0], node, contnode
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Look up what Sphinx doesn't find."""
    app.connect("missing-reference", _find)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
