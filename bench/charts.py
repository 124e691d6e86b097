"""Small charts as SVG, which GitHub shows: bars, and lines over steps."""

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _LEFT, _BAR, _GAP = 640, 210, 18, 6
_HEIGHT, _TOP, _BOTTOM = 240, 34, 44
#: Colours that those who see few of them can tell apart (Okabe and Ito).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#999999")
_STYLE = "<style>text{font:12px sans-serif;fill:#888}.t{font-weight:bold}</style>"


def bars(title: str, values: Mapping[str, float], unit: str) -> str:
    """Return a bar for each value, with its name before it and the value behind it."""
    top = max(values.values(), default=0) or 1
    parts = [_text(0, 16, title, "t")]
    for place, (name, value) in enumerate(values.items()):
        y = 28 + place * (_BAR + _GAP)
        width = max(1.0, (_WIDTH - _LEFT - 110) * value / top)
        colour = _COLOURS[0] if name.startswith("sidecar") else _COLOURS[4]
        parts += [
            _text(0, y + 13, name),
            f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>',
            _text(_LEFT + width + 6, y + 13, f"{number(value)} {unit}"),
        ]
    return _svg(28 + len(values) * (_BAR + _GAP), parts)


def lines(
    title: str, steps: Sequence[str], series: Mapping[str, Sequence[float | None]], unit: str
) -> str:
    """Return a line for each series over steps that stand evenly side by side, from zero up."""
    known = [value for line in series.values() for value in line if value is not None]
    top = max(known, default=0) or 1
    width, height = _WIDTH - 160, _HEIGHT - _TOP - _BOTTOM
    x = [70 + width * place / max(1, len(steps) - 1) for place in range(len(steps))]
    parts = [_text(0, 16, f"{title}, {unit}", "t")]
    for share in (0, 0.5, 1):
        y = _TOP + height * (1 - share)
        parts.append(f'<path d="M70 {y:.1f}H{70 + width}" stroke="#888" stroke-opacity=".3"/>')
        parts.append(_text(64, y + 4, number(top * share), anchor="end"))
    parts += [
        _text(at, _TOP + height + 16, step, anchor="middle")
        for at, step in zip(x, steps, strict=True)
    ]
    for place, (name, line) in enumerate(series.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        points = [
            f"{at:.1f},{_TOP + height * (1 - value / top):.1f}"
            for at, value in zip(x, line, strict=True)
            if value is not None
        ]
        parts.append(f'<polyline points="{" ".join(points)}" stroke="{colour}" fill="none"/>')
        left = 70 + place * 180
        parts.append(
            f'<rect x="{left}" y="{_HEIGHT - 14}" width="10" height="10" fill="{colour}"/>'
        )
        parts.append(_text(left + 14, _HEIGHT - 5, name))
    return _svg(_HEIGHT, parts)


def number(value: float) -> str:
    """Return a figure as people read it: three digits, thousands apart."""
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _svg(height: int, parts: Sequence[str]) -> str:
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    inner = "\n".join([_STYLE, *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{inner}\n</svg>\n'
