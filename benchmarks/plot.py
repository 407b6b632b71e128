"""All ratios in one picture: SVG, drawn without any library."""

from typing import Final
from xml.sax.saxutils import escape

from benchmarks.report import LOW_IS_GOOD, Comparison

ROW_PIXELS: Final = 34
LEFT_PIXELS: Final = 20
UNIT_PIXELS: Final = 260
WIDTH_PIXELS: Final = 760
LONGEST: Final = 2.5


def svg_of(comparisons: list[Comparison]) -> str:
    """A bar for each side that has a floor; the floor is the line at 1."""
    rows = [
        (comparison, name)
        for comparison in comparisons
        for name in list(comparison.sides)[1:]
    ]
    height = ROW_PIXELS * (len(rows) + 1)
    floor = LEFT_PIXELS + UNIT_PIXELS
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_PIXELS}" '
        f'height="{height}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for place, (comparison, name) in enumerate(rows):
        parts += _bar(comparison, name, ROW_PIXELS * (place + 1) - 14)
    parts.append(
        f'<line x1="{floor}" x2="{floor}" y1="8" y2="{height - 12}" '
        'stroke="black" stroke-dasharray="3 3"/></svg>'
    )
    return "\n".join(parts)


def _bar(comparison: Comparison, name: str, top: int) -> list[str]:
    ratio = comparison.ratio(name)
    better = "less" if comparison.unit in LOW_IS_GOOD else "more"
    floor = next(iter(comparison.sides))
    title = escape(
        f"{comparison.workload} {name}: {ratio:.2f} × {floor} "
        f"({better} is better), {comparison.title}"
    )
    width = min(ratio, LONGEST) * UNIT_PIXELS
    colour = "#4477aa" if name.startswith("zchat") else "#bbbbbb"
    return [
        f'<text x="{LEFT_PIXELS}" y="{top - 3}">{title}</text>',
        f'<rect x="{LEFT_PIXELS}" y="{top}" width="{width:.0f}" '
        f'height="12" fill="{colour}"/>',
    ]
