"""A bar chart as an SVG that is readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

ROW, LEFT, WIDTH, FIGURE = 24, 290, 420, 70
STYLE = """text { font: 13px system-ui, sans-serif; fill: #24292f }
.family { font-weight: 600 } .bar { fill: #8c959f } .ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .bar { fill: #6e7681 } .ours { fill: #58a6ff } }"""


def bars(values: Sequence[tuple[str, str, float]]) -> str:
    """Draw one group a family, each with a scale of its own.

    Args:
        values: ``(family, title, requests per second)`` of each bar.
    """
    parts, y = [], 0
    for family, group in groupby(values, key=lambda value: value[0]):
        members = list(group)
        largest = max(value for _, _, value in members)
        y += ROW
        parts.append(
            f'<text class="family" x="0" y="{y - 7}">{escape(family)}, requests per second</text>'
        )
        for _, title, value in members:
            y += ROW
            length = value / largest * WIDTH
            kind = "ours" if title.startswith("tokenwheel") else "bar"
            parts += [
                f'<text x="{LEFT - 8}" y="{y - 7}" text-anchor="end">{escape(title)}</text>',
                (
                    f'<rect class="{kind}" x="{LEFT}" y="{y - 20}" '
                    f'width="{length:.1f}" height="17" rx="2"/>'
                ),
                f'<text x="{LEFT + length + 6:.1f}" y="{y - 7}">{value:,.0f}</text>',
            ]
        y += ROW // 2
    size = f'viewBox="0 0 {LEFT + WIDTH + FIGURE} {y}" width="{LEFT + WIDTH + FIGURE}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
