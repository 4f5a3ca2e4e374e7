"""Three kinds of plot as SVG, readable on light and dark: bars, lines, and speed-ups.

Bars are on a logarithmic scale, lines on two, speed-ups on none. All is written by hand, since a
plotting library's file is a hundred times as long, knows one background only, and changes with each
release.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

WIDTH = 760
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: var(--ink) }
  .title { font-size: 15px; font-weight: 600 }
  .small { font-size: 11px; fill: var(--faint) }
  .grid { stroke: var(--line) }
  .ours, .ours text { fill: var(--ours) }
  .line { fill: none; stroke-width: 2.5 }
  .dashed { stroke-dasharray: 5 4 }
  svg { --ink: #1f2328; --faint: #59636e; --line: #d1d9e0; --ours: #0969da; --theirs: #9aa4af;
        --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #f0f6fc; --faint: #9198a1; --line: #3d444d; --ours: #4493f8; --theirs: #656c76;
          --c0: #4493f8; --c1: #f0883e; --c2: #3fb950; --c3: #ab7df8 }
  }
"""


COLOURS = ("c0", "c1", "c2", "c3")


class Bar(NamedTuple):
    label: str
    seconds: float
    ours: bool = False


class Line(NamedTuple):
    label: str
    points: Sequence[tuple[float, float]]
    colour: int
    dashed: bool = False


class Curve(NamedTuple):
    """How many times a single worker's calls so many workers did."""

    label: str
    points: Sequence[tuple[int, float]]
    dashed: bool = False
    ours: bool = False


def draw_bars(title: str, note: str, bars: Sequence[Bar]) -> str:
    """Draw a bar each, fastest first, as long as the logarithm of its time."""
    left, right, top, step = 230, 90, 62, 26
    bars = sorted(bars, key=lambda bar: bar.seconds)
    low, high = decades(bar.seconds for bar in bars)
    scale = (WIDTH - left - right) / (high - low)
    height = top + step * len(bars) + 30
    parts = []
    for decade in range(low, high + 1):
        x = left + (decade - low) * scale
        parts.append(
            f'<line class="grid" x1="{x:.0f}" x2="{x:.0f}" y1="{top - 6}" y2="{height - 26}"/>'
        )
        parts.append(
            f'<text class="small" x="{x:.0f}" y="{height - 10}" text-anchor="middle">'
            f"{duration(10.0**decade)}</text>"
        )
    for number, bar in enumerate(bars):
        y = top + step * number
        length = max(2, (math.log10(bar.seconds) - low) * scale)
        fill = "ours" if bar.ours else "theirs"
        weight = ' font-weight="600"' if bar.ours else ""
        parts.append(
            f'<text x="{left - 10}" y="{y + 14}" text-anchor="end"{weight}>'
            f"{escape(bar.label)}</text>"
        )
        parts.append(
            f'<rect x="{left}" y="{y + 2}" width="{length:.0f}" height="16" rx="2" '
            f'style="fill: var(--{fill})"/>'
        )
        parts.append(
            f'<text x="{left + length + 8:.0f}" y="{y + 14}"{weight}>{duration(bar.seconds)}</text>'
        )
    return wrap(title, note, height, parts)


def draw_lines(title: str, note: str, lines: Sequence[Line]) -> str:
    """Time against the number of entries, both on a logarithmic scale."""
    left, right, top, height = 70, 150, 66, 400
    x_low, x_high = decades((x for line in lines for x, _ in line.points), whole=True)
    y_low, y_high = decades(y for line in lines for _, y in line.points)
    x_scale, y_scale = (
        (WIDTH - left - right) / (x_high - x_low),
        (height - top - 40) / (y_high - y_low),
    )
    parts = []
    for decade in range(x_low, x_high + 1):
        x = left + (decade - x_low) * x_scale
        parts.append(
            f'<line class="grid" x1="{x:.0f}" x2="{x:.0f}" y1="{top}" y2="{height - 40}"/>'
        )
        parts.append(
            f'<text class="small" x="{x:.0f}" y="{height - 22}" text-anchor="middle">'
            f"{10**decade:,}</text>"
        )
    for decade in range(y_low, y_high + 1):
        y = height - 40 - (decade - y_low) * y_scale
        parts.append(
            f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{y:.0f}" y2="{y:.0f}"/>'
        )
        parts.append(
            f'<text class="small" x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">'
            f"{duration(10.0**decade)}</text>"
        )
    labels = []
    for line in lines:
        places = [
            (
                left + (math.log10(x) - x_low) * x_scale,
                height - 40 - (math.log10(y) - y_low) * y_scale,
            )
            for x, y in line.points
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline class="line{" dashed" if line.dashed else ""}" points="{path}" '
            f'style="stroke: var(--c{line.colour})"/>'
        )
        labels.append((places[-1][1], line))
    below = 0.0
    for y, line in sorted(labels, key=lambda label: label[0]):
        below = max(y + 4, below + 15)  # Lines that end close together have their labels spread.
        parts.append(
            f'<text x="{WIDTH - right + 8}" y="{below:.0f}" '
            f'style="fill: var(--c{line.colour})">{escape(line.label)}</text>'
        )
    return wrap(title, note, height, parts)


def draw_speedups(title: str, note: str, curves: Sequence[Curve]) -> str:
    """Draw a curve each over the number of workers, and the diagonal, on which nobody waits."""
    left, right, top, height = 40, 270, 66, 380
    most = max(workers for curve in curves for workers, _ in curve.points)
    highest = max(most, math.ceil(max(y for curve in curves for _, y in curve.points)))
    x_scale = (WIDTH - left - right) / max(1, most - 1)
    y_scale = (height - top - 40) / highest

    def place(workers: float, times: float) -> tuple[float, float]:
        return left + (workers - 1) * x_scale, height - 40 - times * y_scale

    parts = []
    for times in range(highest + 1):
        x, y = place(1, times)
        parts.append(
            f'<line class="grid" x1="{x:.0f}" x2="{WIDTH - right}" y1="{y:.0f}" y2="{y:.0f}"/>'
        )
        parts.append(
            f'<text class="small" x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{times}</text>'
        )
    for workers in sorted({workers for curve in curves for workers, _ in curve.points}):
        x, y = place(workers, 0)
        parts.append(
            f'<text class="small" x="{x:.0f}" y="{y + 18:.0f}" text-anchor="middle">'
            f"{workers}</text>"
        )
    (x, y), (x_end, y_end) = place(1, 1), place(most, most)
    parts.append(
        f'<line class="grid" x1="{x:.1f}" x2="{x_end:.1f}" y1="{y:.1f}" y2="{y_end:.1f}"/>'
    )
    colours = iter(range(len(COLOURS)))
    labels = []
    for curve in curves:
        colour = f"c{next(colours)}" if curve.ours else "theirs"
        places = [place(*point) for point in curve.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline class="line{" dashed" if curve.dashed else ""}" points="{path}" '
            f'style="stroke: var(--{colour})"/>'
        )
        labels.append((places[-1][1], colour, curve))
    below = 0.0
    for y, colour, curve in sorted(labels, key=lambda label: label[0]):
        below = max(y + 4, below + 17)  # Curves that end close together have their labels spread.
        parts.append(
            f'<text x="{WIDTH - right + 8}" y="{below:.0f}" style="fill: var(--{colour})">'
            f"{escape(curve.label)} {curve.points[-1][1]:.2f} \u00d7</text>"
        )
    return wrap(title, note, height, parts, scale="")


def wrap(
    title: str, note: str, height: int, parts: Sequence[str], scale: str = " Logarithmic scale."
) -> str:
    note += scale
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="{escape(title)}">'
    )
    texts = (
        f'<text class="title" x="10" y="24">{escape(title)}</text>'
        f'<text class="small" x="10" y="44">{escape(note)}</text>'
    )
    return "\n".join([head, f"<style>{STYLE}</style>", texts, *parts, "</svg>", ""])


def decades(values: Iterator[float], whole: bool = False) -> tuple[int, int]:
    """Return the powers of ten between which the values lie.

    There is room below, so that the shortest bar still has a length.
    """
    logarithms = [math.log10(value) for value in values]
    low, high = math.floor(min(logarithms) + 1e-9), math.ceil(max(logarithms) - 1e-9)
    return low, max(high, low + 1)


def duration(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= factor * 0.9995:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
