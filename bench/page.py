"""``docs/performance.md``: what stands between two marks is made of the results, and the rest is
written by hand."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import charts, results
from bench.budgets import BUDGETS, FLOOR, FLOOR_PER_S, Budget, Metric
from bench.figures import Series, series
from bench.parts import PARTS

PAGE = results.ROOT / "docs" / "performance.md"
CHARTS = PAGE.parent / "charts"
_BLOCK = "<!-- {name}: made by `make bench` -->\n{text}\n<!-- end of {name} -->"
_MARKS = r"<!-- {name}: made by `make bench` -->.*?<!-- end of {name} -->"
_NOTHING = "Nothing was measured yet."
_UNITS = {
    "per_s": "/s", "ms": "ms", "us": "us", "mb": "MB", "percent": "%", "s": "s",
    "bytes": "bytes", "cpu_s": "s",
}  # fmt: skip


def write(page: Path = PAGE, folder: Path = CHARTS) -> None:
    """Make the page and its charts anew."""
    found = results.read()
    page.write_text(rendered(page.read_text(), found))
    folder.mkdir(exist_ok=True)
    for name, text in drawn(found).items():
        (folder / f"{name}.svg").write_text(text)


def is_up_to_date() -> bool:
    """Tell whether page and charts are those of the results."""
    found = results.read()
    text = PAGE.read_text()
    files = {name: CHARTS / f"{name}.svg" for name in drawn(found)}
    return text == rendered(text, found) and all(
        file.exists() and file.read_text() == drawn(found)[name] for name, file in files.items()
    )


def rendered(text: str, found: Mapping[str, Any]) -> str:
    """Return the page with its blocks made anew. Raises ValueError if one of them is not there."""
    blocks = {
        "budgets": budget_table(found),
        "machine": _machine(found),
        "charts": _pictures(found),
        "figures": _tables(found),
    }
    for name, inner in blocks.items():
        block = _BLOCK.format(name=name, text=inner)
        text, count = re.subn(_MARKS.format(name=name), lambda _: block, text, flags=re.S)  # noqa: B023
        if count != 1:
            raise ValueError(f"the page has {count} blocks for {name}, and needs one")
    return text


# -- the budgets --


def budget_table(found: Mapping[str, Any]) -> str:
    """Return a row for each budget of the design."""
    head = "| what | budget | measured | peers | met |\n|---|---|---|---|---|"
    return "\n".join([head, *(_row(budget, found) for budget in BUDGETS)])


def _row(budget: Budget, found: Mapping[str, Any]) -> str:
    measured = budget.measured(found)
    peers = [said for one in budget.peers if (said := _peer(one, budget, found))]
    shown = "" if measured is None else _with_range(measured, _unit(budget))
    cells = (budget.what, _limit(budget), shown, "; ".join(peers), _verdict(budget, found))
    return f"| {' | '.join(cells)} |"


def _verdict(budget: Budget, found: Mapping[str, Any]) -> str:
    measured = budget.measured(found)
    if measured is None:
        return "not measured"
    if found["parts"][budget.metric.part]["quick"]:
        return "quick form"
    if budget.met(measured):
        return "yes"
    return f"**no**: {budget.why}" if budget.why else "**no**"


def _limit(budget: Budget) -> str:
    unit = _unit(budget)
    least = None if budget.least is None else f"at least {_figure(budget.least, unit)}"
    most = None if budget.most is None else f"at most {_figure(budget.most, unit)}"
    return ", ".join(part for part in (least, most) if part)


def _peer(peer: Metric, budget: Budget, found: Mapping[str, Any]) -> str:
    """Return a peer's figure, and how many times ours it is."""
    theirs, ours = peer.read(found), budget.metric.read(found)
    if theirs is None:
        return ""
    unit = _UNITS.get(_unit_of(peer.name), "") if budget.over else budget.unit
    said = f"{peer.system} {_figure(theirs.median, unit)}"
    ratio = None if ours is None or peer == budget.metric else ours.over(theirs)
    if ratio is None or not ratio.values or peer == budget.over:
        return said
    return f"{said} ({_times(ratio.median)})"


def _times(ratio: float) -> str:
    """Return ours over theirs in words: `x 12` or `1/12`."""
    if ratio >= 1 or ratio == 0:
        return f"x {charts.number(ratio)}"
    return f"1/{charts.number(1 / ratio)}"


def _unit(budget: Budget) -> str:
    return "x" if budget.over else budget.unit


def _figure(value: float, unit: str) -> str:
    if unit == "x":
        return f"{value:.2f} x" if value >= 0.1 or value == 0 else f"1/{charts.number(1 / value)}"
    space = "" if unit.startswith(("/", "%")) or not unit else " "
    return f"{charts.number(value)}{space}{unit}"


def _with_range(measured: Series, unit: str) -> str:
    said = _figure(measured.median, unit)
    low, high = min(measured.values), max(measured.values)
    return said if low == high else f"{said} ({_figure(low, unit)} to {_figure(high, unit)})"


# -- the machine, and every figure --


def _machine(found: Mapping[str, Any]) -> str:
    if not found["parts"]:
        return _NOTHING
    machine = found["machine"]
    parts = found["parts"].values()
    commits = sorted({part["commit"] for part in parts})
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    text = (
        f"Measured {min(p['measured_at'] for p in parts)[:10]} on {machine['cpus']} cores"
        f" ({machine['cpu']}), {machine['memory_gb']} GB, Linux {machine['kernel']}, at commit"
        f" {', '.join(commits)}. {versions}."
    )
    if floor := FLOOR.read(found):
        slower = FLOOR_PER_S / floor.median
        text += (
            f"\n\nBare uvicorn answers {floor.median:,.0f} requests a second here, and did"
            f" {FLOOR_PER_S:,} where the budgets were set: a budget in seconds, or per second, is"
            f" {slower:.1f} times as strict here. Ratios are not."
        )
    if any(part["quick"] for part in parts):
        text += (
            "\n\n**Some of it was measured once, in the quick form: it shows that the benchmark"
            " works, and no figure of it counts.**"
        )
    return text


def _tables(found: Mapping[str, Any]) -> str:
    """Return a table for each part: a row for each metric, a column for each system."""
    return "\n\n".join(_table(name, found) for name in PARTS if name in found["parts"]) or _NOTHING


def _table(name: str, found: Mapping[str, Any]) -> str:
    part = found["parts"][name]
    systems = list(part["figures"])
    metrics = list(dict.fromkeys(m for one in part["figures"].values() for m in one))
    lines = [
        f"### {name}",
        "",
        f"`make bench ARGS={name}`; median and range of {part['runs']}.",
        "",
        "| | " + " | ".join(systems) + " |",
        "|---" * (len(systems) + 1) + "|",
    ]
    for metric in metrics:
        values = [series(found, name, system, metric) for system in systems]
        cells = ["" if one is None else _with_range(one, "") for one in values]
        lines.append(f"| {metric.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _unit_of(metric: str) -> str:
    return "per_s" if "per_s" in metric else metric.rpartition("_")[2]


# -- charts --


def drawn(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the charts of what was measured, by the names of their files."""
    made = {
        "acknowledged": _bars(found, "ingest", "per_s", "Webhooks acknowledged", "/s"),
        "drained": _bars(found, "drain", "per_s", "Webhooks drained into MariaDB", "/s"),
        "cost": _bars(found, "campaign", "cpu_s", "Processor time of a campaign", "s"),
        "latency": _bars(found, "latency", "p50_ms", "A customer's message to its row, p50", "ms"),
        "sizes": _steps(found, "sizes", "mb_per_s_", "Acknowledged by size of the body", "MB/s"),
        "waiting": _steps(found, "growth", "per_s_", "Acknowledged while so many wait", "/s"),
    }
    return {name: text for name, text in made.items() if text}


def _pictures(found: Mapping[str, Any]) -> str:
    return "\n".join(f"![{name}](charts/{name}.svg)" for name in drawn(found)) or _NOTHING


def _bars(found: Mapping[str, Any], part: str, metric: str, title: str, unit: str) -> str:
    figures = found["parts"].get(part, {}).get("figures", {})
    values = {name: one[metric]["median"] for name, one in figures.items() if metric in one}
    return charts.bars(title, values, unit) if values else ""


def _steps(found: Mapping[str, Any], part: str, start: str, title: str, unit: str) -> str:
    """Draw the metrics that begin so, a line for each system that has more than one of them."""
    figures = found["parts"].get(part, {}).get("figures", {})
    steps = [
        metric
        for metric in dict.fromkeys(m for one in figures.values() for m in one)
        if metric.startswith(start) and not metric.endswith("_vendors")
    ]
    values = {
        system: [one.get(step, {}).get("median") for step in steps]
        for system, one in figures.items()
        if sum(step in one for step in steps) > 1
    }
    names = [step.removeprefix(start).removesuffix("_waiting") for step in steps]
    return charts.lines(title, names, values, unit) if values else ""
