"""The table of budgets."""

from typing import Any

from bench.budgets import BUDGETS, Budget, Metric
from bench.figures import merged
from bench.parts import PARTS

OURS, THEIRS = Metric("ingest", "sidecar", "per_s"), Metric("ingest", "floor", "per_s")


def results(*runs: tuple[float, float]) -> dict[str, Any]:
    figures = [{"sidecar": {"per_s": ours}, "floor": {"per_s": theirs}} for ours, theirs in runs]
    return {"parts": {"ingest": {"figures": merged(figures)}}}


def is_met(budget: Budget, found: dict[str, Any]) -> bool:
    measured = budget.measured(found)
    assert measured is not None
    return budget.met(measured)


def test_limits_are_inclusive_and_hold_for_the_median() -> None:
    found = results((79.0, 1.0), (80.0, 1.0), (99.0, 1.0))
    assert is_met(Budget("", OURS, least=78.4, most=80), found)
    assert not is_met(Budget("", OURS, most=79.9), found)
    assert not is_met(Budget("", OURS, least=80.1), found)


def test_a_ratio_is_that_of_each_run() -> None:
    """The medians' own ratio would be 30 / 100."""
    found = results((60.0, 100.0), (30.0, 50.0), (30.0, 400.0))
    assert is_met(Budget("", OURS, least=0.6, over=THEIRS), found)
    assert not is_met(Budget("", OURS, least=0.61, over=THEIRS), found)


def test_what_was_not_measured_is_not_met() -> None:
    assert Budget("", OURS, most=1).measured({"parts": {}}) is None
    without = {"parts": {"ingest": {"figures": merged([{"sidecar": {"per_s": 1.0}}])}}}
    assert Budget("", OURS, most=1, over=THEIRS).measured(without) is None


def test_every_row_has_a_limit_and_names_parts() -> None:
    for budget in BUDGETS:
        assert budget.least is not None or budget.most is not None, budget.what
        named = [budget.metric, *budget.peers, *([budget.over] if budget.over else [])]
        assert {metric.part for metric in named} <= set(PARTS), budget.what
