"""Names in the reference, as users know them.

A class is described under the name that users import. Annotations name the module that defines it,
or nothing but the class: such a reference leads to the description, too. A default that is a
function is shown by its name. A default that only means "not given" is shown as ``...``. Attributes
are called that, and not variables.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sphinx.domains.python import PyObject

from tokenwheel.seconds import steady_time

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

FUNCTION = re.compile(r"<function (?:[\w<>]+\.)*(\w+)(?: at 0x\w+)?>")
CLOCK = re.compile(re.escape(repr(steady_time)))
UNNAMED = re.compile(r"(?<==)( ?)<[^<>]*>")  # What stands for an argument that was not given.


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


def _name_defaults(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    if signature is not None:
        signature = FUNCTION.sub(r"\1", CLOCK.sub("steady_time", signature))
        signature = UNNAMED.sub(r"\1...", signature)
    return signature, returned


def setup(app: Sphinx) -> dict[str, bool]:
    """Look up what Sphinx doesn't find, and name what it shows."""
    app.connect("missing-reference", _find)
    app.connect("autodoc-process-signature", _name_defaults)
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
