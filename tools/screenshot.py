"""Take the README's pictures of ``make demo-web``, in light and in dark, with Debian's chromium.

Run it as ``make screenshot``. The pictures go to ``docs/images``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from tools.demo_web import DEVICES, ROOT, free_port, serving, sign_in
from tools.png import with_palette

IMAGES = ROOT / "docs" / "images"
LARGEST = 150 * 1024  # bytes: what a README may ask of its readers
WIDTH = 1000  # CSS pixels, of which each is two by two in the picture
MARGIN = 16


def take(browser: Any, address: str, scheme: str) -> Path:
    """Return the picture of a page that is signed in, in this color scheme."""
    context = browser.new_context(
        color_scheme=scheme, device_scale_factor=2, viewport={"width": WIDTH, "height": 1000}
    )
    page = context.new_page()
    page.goto(address)
    page.click("#login button")
    page.wait_for_selector("#socket:text-is('open')")
    page.fill("#message", "Is anybody there?")
    page.press("#message", "Enter")
    page.wait_for_selector("#messages div:nth-child(2)")
    page.evaluate("document.activeElement.blur()")
    bottom = page.evaluate("document.querySelector('#home').getBoundingClientRect().bottom")
    path = IMAGES / f"demo-web-{scheme}.png"
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": bottom + MARGIN}
    path.write_bytes(with_palette(page.screenshot(clip=clip, animations="disabled")))
    page.click("#logout")
    page.wait_for_selector("#login", state="visible")
    context.close()
    return path


def main() -> None:
    """Take both pictures, and end with an error if one is too large."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with serving(free_port(8000)) as address, sync_playwright() as playwright:
        for user_agent in DEVICES:
            sign_in(address, user_agent)
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        pictures = [take(browser, address, scheme) for scheme in ("light", "dark")]
        browser.close()
    for picture in pictures:
        size = picture.stat().st_size
        print(f"{picture.relative_to(ROOT)}: {size // 1024} KiB")
        if size > LARGEST:
            sys.exit(f"{picture.name} has more than {LARGEST // 1024} KiB")


if __name__ == "__main__":
    main()
