"""What is made of results, and that the page is."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import page, results
from bench.figures import merged

BLOCKS = ("machine", "budgets", "charts", "figures")
TEXT = "# By hand\n\n" + "\n\nbetween\n\n".join(
    f"<!-- {name}: made by `make bench` -->\nold\n<!-- end of {name} -->" for name in BLOCKS
)


def found(quick: bool = False) -> dict[str, Any]:
    runs = [
        {
            "sidecar": {"per_s": 26_000.0 + n, "p99_ms": 20.0},
            "floor": {"per_s": 40_000.0},
            "hybrid, awaits its queue": {"per_s": 4_000.0, "p99_ms": 60.0},
        }
        for n in range(3)
    ]
    sizes = {"sidecar": {"mb_per_s_1kb": 12.0, "mb_per_s_3mb": 600.0, "memory_mb": 90.0}}
    one = {"measured_at": "2026-01-02T03:04:05+00:00", "commit": "abc", "runs": 3, "quick": quick}
    parts = {"ingest": one | {"figures": merged(runs)}, "sizes": one | {"figures": merged([sizes])}}
    machine = {"cpu": "A processor", "cpus": 2, "memory_gb": 24, "kernel": "6.1"}
    return {"machine": machine, "versions": {"Python": "3.11"}, "parts": parts}


def test_what_is_written_by_hand_stays() -> None:
    text = page.rendered(TEXT, found())
    assert text.startswith("# By hand\n")
    assert text.count("\n\nbetween\n\n") == 3
    assert "old" not in text
    assert page.rendered(text, found()) == text


def test_a_page_without_a_block() -> None:
    with pytest.raises(ValueError, match="0 blocks for budgets"):
        page.rendered(TEXT.replace("<!-- end of budgets -->", ""), found())


def row(text: str, what: str) -> list[str]:
    [line] = [line for line in text.splitlines() if line.startswith(f"| {what} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_rows_that_are_met_not_met_and_not_measured() -> None:
    text = page.budget_table(found())
    share = row(text, "webhooks acknowledged on disk, one process, as a share of bare uvicorn")
    assert share[0] == "at least 0.60 x"
    assert share[1].startswith("0.65 x")
    assert "floor 40,000/s" in share[2]
    assert "hybrid, awaits its queue 4,000/s (x 6.5)" in share[2]
    assert share[3] == "yes"
    slow = row(text, "p99 of an answer at saturation")
    assert slow[0] == "at most 15 ms"
    assert slow[1] == "20 ms"
    assert "60 ms (1/3)" in slow[2]
    assert slow[3].startswith("**no**: ")
    assert row(text, "a bot match, 10,000 triggers, 1 kB, that finds some")[1:] == [
        "",
        "",
        "not measured",
    ]


def test_the_quick_form_says_so_and_decides_nothing() -> None:
    assert "quick form" not in page.rendered(TEXT, found())
    text = page.rendered(TEXT, found(quick=True))
    assert "the quick form: it shows that" in text
    assert "| quick form |" in text
    assert "| yes |" not in text
    assert "**no**" not in text


def test_charts_are_well_formed() -> None:
    charts = page.drawn(found())
    assert set(charts) == {"acknowledged", "sizes"}
    for text in charts.values():
        ElementTree.fromstring(text)
    assert "26,000 /s" in charts["acknowledged"]


def test_the_page_is_that_of_the_results() -> None:
    assert page.is_up_to_date(), "run: python -m bench --report"


def test_the_results_name_no_path_or_address() -> None:
    if results.LATEST.exists():
        assert not re.search(r"/(tmp|work|root|home)/|https?://", results.LATEST.read_text())
