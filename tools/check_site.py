"""Checks the documentation site as it was built: what it links, what it loads, what it describes.

``python -m tools.check_site build/docs`` says what is wrong, and exits 1. Every link within the
site has to lead to a file, and its anchor to an element there. A page may load nothing from another
host. Every public name of tokenwheel has to be described.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"link": "href", "script": "src", "img": "src", "source": "src", "iframe": "src"}
NOT_LOADED = {"canonical", "next", "prev", "search", "index"}
"""Kinds of ``<link>`` that a browser only tells its user of."""


class Page(HTMLParser):
    """What one page links to and loads, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        """Parse the file."""
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the anchor and the address of an element."""
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        is_told_only = tag == "link" and values.get("rel") in NOT_LOADED
        if tag in LOADED and LOADED[tag] in values and not is_told_only:
            self.loaded.add(values[LOADED[tag]])


def check(site: Path, public_names: list[str]) -> list[str]:
    """Return what is wrong with the site, one sentence each."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    mistakes = [] if pages else [f"{site} has no pages"]
    described: set[str] = set()
    for path, page in pages.items():
        name = path.relative_to(site.resolve()).as_posix()
        described |= page.anchors
        for address in sorted(page.loaded):
            parts = urlsplit(address)
            if parts.netloc or parts.scheme not in {"", "data"}:
                mistakes.append(f"{name} loads {address} from another host")
        for address in sorted(page.links | page.loaded):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file():
                mistakes.append(f"{name} links {address}, and there is no such file")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                mistakes.append(f"{name} links {address}, and that page has no such anchor")
    mistakes += [
        f"tokenwheel.{name} is not described in the reference"
        for name in public_names
        if not name.startswith("_") and f"tokenwheel.{name}" not in described
    ]
    return mistakes


def main(site: Path) -> int:
    """Print what is wrong. Return 1 if anything is."""
    import tokenwheel

    mistakes = check(site, tokenwheel.__all__)
    for mistake in mistakes:
        print(f"check_site: {mistake}", file=sys.stderr)
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
