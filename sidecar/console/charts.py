"""Charts of the overview: what a macro of ``macros.html`` draws as SVG."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sidecar.ops.history import Point

#: The drawing's size; it is stretched to the room that there is.
WIDTH, HEIGHT = 600, 120

Format = Callable[[float | None], str]


@dataclass(frozen=True, slots=True)
class Line:
    """``path`` is SVG's; a gap is where nobody knows."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Chart:
    """``summary`` says in words what is seen, ``top`` what the upper edge is. ``since`` and
    ``until`` are times of the day, UTC."""

    title: str
    summary: str
    top: str
    since: str
    until: str
    lines: list[Line]


def make_chart(title: str, lines: Mapping[str, Sequence[Point]], show: Format) -> Chart:
    """Return a chart of lines by their names, all over the same time, with values as ``show``
    writes them."""
    top = _round_up(max((p.value or 0.0 for points in lines.values() for p in points), default=0.0))
    some = next(iter(lines.values()))
    return Chart(
        title=title,
        summary=_summary(lines, show),
        top=show(top),
        since=_time(some[0].at_ms),
        until=_time(some[-1].at_ms),
        lines=[Line(name, _path(points, top)) for name, points in lines.items()],
    )


def _summary(lines: Mapping[str, Sequence[Point]], show: Format) -> str:
    if all(point.value is None for points in lines.values() for point in points):
        return "nothing is known of this time"
    return "; ".join(_of_line(name, points, show) for name, points in lines.items())


def _of_line(name: str, points: Sequence[Point], show: Format) -> str:
    known = [(point.value, point.at_ms) for point in points if point.value is not None]
    highest, at_ms = max(known, key=lambda one: one[0], default=(0.0, 0))
    if not highest:
        return f"{name}: none"
    last = "not known" if points[-1].value is None else show(points[-1].value)
    return f"{name}: last {last}, highest {show(highest)} at {_time(at_ms)}"


def _path(points: Sequence[Point], top: float) -> str:
    step = WIDTH / max(1, len(points) - 1)
    parts: list[str] = []
    goes_on = False
    for index, point in enumerate(points):
        if point.value is None:
            goes_on = False
            continue
        x, y = index * step, 1 + (HEIGHT - 2) * (1 - point.value / top)
        # A point alone is a short line.
        parts.append(f"L{x:.1f} {y:.1f}" if goes_on else f"M{x - 2:.1f} {y:.1f}h2")
        goes_on = True
    return "".join(parts)


def _round_up(value: float) -> float:
    """Return 1, 2 or 5 times a power of ten, not less than the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** (len(f"{int(value)}") - 1) if value >= 1 else 0.001
    while True:
        for factor in (1, 2, 5):
            if value <= factor * power:
                return factor * power
        power *= 10


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M")
