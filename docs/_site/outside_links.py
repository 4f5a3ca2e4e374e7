"""Links as they stand in the repository, made to lead somewhere on the site.

A page is written to be read on GitHub, too. There ``../src/tokenwheel`` is a link like any other.
On the site it becomes the repository's address, unless the file is a page of the site. Three pages
are files from outside this folder: their text takes the place of a sentence that points to them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent.parent
ROOT = DOCS.parent
REPOSITORY = "https://github.com/tokenwheel/tokenwheel"
TAKEN_IN = {
    "changelog": ROOT / "CHANGELOG.md",
    "contributing": ROOT / ".github" / "CONTRIBUTING.md",
    "security_policy": ROOT / ".github" / "SECURITY.md",
}
PAGE_OF = {path: DOCS / f"{name}.md" for name, path in TAKEN_IN.items()}

FENCED = re.compile(r"(^ *```.*?^ *```\s*?$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")
IMAGES = {".png", ".svg"}


def text_of(docname: str) -> str | None:
    """Return the Markdown of a page as the site shows it, or None where it has none."""
    page = DOCS / f"{docname}.md"
    if not page.exists():
        return None
    source = TAKEN_IN.get(docname, page)
    pieces = FENCED.split(source.read_text(encoding="utf-8"))
    pieces[::2] = [LINK.sub(lambda link: move(link, source, page), text) for text in pieces[::2]]
    return "".join(pieces)


def move(link: re.Match[str], source: Path, page: Path) -> str:
    """Return where a link of a file leads from the page that shows the file."""
    name, anchor = link[1], link[2] or ""
    target = (source.parent / name).resolve()
    target = PAGE_OF.get(target, target)
    if target.is_relative_to(DOCS) or target.suffix in IMAGES:
        return f"]({Path(os.path.relpath(target, page.parent)).as_posix()}{anchor})"
    kind = "tree" if target.is_dir() else "blob"
    return f"]({REPOSITORY}/{kind}/main/{target.relative_to(ROOT).as_posix()}{anchor})"


def _replace(app: Sphinx, docname: str, content: list[str]) -> None:
    content[0] = text_of(docname) or content[0]


def _depend(app: Sphinx, doctree: Any) -> None:
    if source := TAKEN_IN.get(app.env.docname):
        app.env.note_dependency(str(source))


def setup(app: Sphinx) -> dict[str, bool]:
    """Have each page's links moved before it is parsed."""
    app.connect("source-read", _replace)
    app.connect("doctree-read", _depend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
