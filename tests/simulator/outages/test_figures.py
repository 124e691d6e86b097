from typing import Any

import pytest

from simulator.outages.figures import Figures, table


def figures(**differences: Any) -> Figures:
    right: dict[str, Any] = {
        "shape": "html_502",
        "rows": 100,
        "accepted": 98,
        "unknown": 2,
        "failed": 0,
        "requeued": 3,
        "twice": 0,
        "left": 0,
        "lost": 0,
        "hit": 5,
        "goes_on_s": 1.5,
        "named_s": 2.0,
        "metric_s": 1.0,
        "over_s": 1.2,
        "seconds": 9.0,
    }
    return Figures(**(right | differences))


def test_a_run_as_it_should_be() -> None:
    assert figures().faults() == []
    assert figures(unknown=20, named_s=5.0, metric_s=None, goes_on_s=None).faults() == []


@pytest.mark.parametrize(
    ("differences", "says"),
    [
        ({"unknown": 21}, "21 rows unknown"),
        ({"failed": 1}, "1 failed"),
        ({"twice": 2}, "2 twice"),
        ({"left": 3}, "3 left"),
        ({"lost": 4}, "4 lost"),
        ({"named_s": None}, "never named"),
        ({"named_s": 5.1}, "named after 5.1 s"),
        ({"over_s": None}, "never said that it was over"),
        ({"hit": 0}, "hit nothing"),
    ],
)
def test_each_fault(differences: dict[str, Any], says: str) -> None:
    [fault] = figures(**differences).faults()
    assert says in fault


def test_table() -> None:
    lines = table([figures(), figures(shape="reset", goes_on_s=None)]).splitlines()
    assert lines[0].split()[:3] == ["shape", "rows", "accepted"]
    assert lines[1].split()[0] == "html_502"
    assert "-" in lines[2].split()
    assert len({len(line) for line in lines}) == 1
