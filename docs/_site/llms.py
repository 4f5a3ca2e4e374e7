"""The site for language models: ``llms.txt``, ``llms-full.txt``, and each page as Markdown.

``llms.txt`` lists the pages in the order of the navigation (https://llmstxt.org).
``llms-full.txt`` holds the text of all of them. Pages that are made from docstrings stand there as
plain text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.writers.text import TextTranslator

from .outside_links import text_of

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SUMMARY = (
    "JWT user sessions for high-throughput Python API servers: access tokens verified in "
    "memory, revoked at once, with rotating refresh tokens."
)


def _in_order(app: Sphinx, docname: str) -> list[str]:
    ordered = [docname]
    for child in app.env.toctree_includes.get(docname, []):
        ordered += _in_order(app, child)
    return ordered


def _plain(app: Sphinx, docname: str) -> str:
    doctree = app.env.get_and_resolve_doctree(docname, app.builder)
    translator = TextTranslator(doctree, app.builder)
    doctree.walkabout(translator)
    return translator.body


def _write(app: Sphinx, failure: Exception | None) -> None:
    if failure is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    pages = _in_order(app, app.config.root_doc)
    links, texts = [], []
    for docname in pages:
        markdown = text_of(docname) or ""
        if "```{" in markdown:  # Directives, which only Sphinx can carry out.
            markdown = _plain(app, docname)
        target = out / f"{docname}.md"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(markdown, encoding="utf-8")
        title = app.env.titles[docname].astext()
        links.append(f"- [{title}]({app.config.html_baseurl}{docname}.md)")
        texts.append(markdown.strip())
    head = f"# {app.config.project}\n\n> {SUMMARY}\n"
    listed = "\n".join(["## Documentation", "", *links[1:], ""])
    (out / "llms.txt").write_text(f"{head}\n{listed}", encoding="utf-8")
    full = "\n\n---\n\n".join([head.strip(), *texts[1:]])
    (out / "llms-full.txt").write_text(full + "\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the files once the pages are there."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
