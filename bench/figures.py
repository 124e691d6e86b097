"""What parts have measured: of each system some metrics, in each of several runs."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: One run: by system, then by metric. The unit is the end of the metric's name.
Figures = dict[str, dict[str, float]]

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Series:
    """A metric's values, in the order of the runs."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def over(self, other: "Series") -> "Series":
        """Return the ratio within each run."""
        pairs = zip(self.values, other.values, strict=False)
        return Series(tuple(a / b for a, b in pairs if b))

    def as_dict(self) -> dict[str, Any]:
        return {
            "median": _rounded(self.median),
            "min": _rounded(min(self.values)),
            "max": _rounded(max(self.values)),
            "values": [_rounded(value) for value in self.values],
        }


def merged(runs: Sequence[Figures]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return every metric's median, range and values over the runs that have it."""
    systems = {system: None for run in runs for system in run}
    return {
        system: {
            metric: Series(_values(runs, system, metric)).as_dict()
            for metric in {m: None for run in runs for m in run.get(system, {})}
        }
        for system in systems
    }


def _values(runs: Sequence[Figures], system: str, metric: str) -> tuple[float, ...]:
    return tuple(run[system][metric] for run in runs if system in run and metric in run[system])


def series(results: Mapping[str, Any], part: str, system: str, metric: str) -> Series | None:
    """Return a metric of ``results`` (the JSON of :mod:`bench.results`), or None if it was not
    measured."""
    found = results["parts"].get(part, {}).get("figures", {}).get(system, {}).get(metric)
    return None if found is None else Series(tuple(found["values"]))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}") if abs(value) < 10_000 else float(round(value))
