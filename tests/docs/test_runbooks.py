"""``docs/runbooks.md`` has a paragraph for every alert and every problem, and for nothing else."""

import re

import pytest

from contracts.jobs import Lane
from sidecar.ops.problem import Code
from sidecar.redis import keys
from tests.deploy import monitoring
from tests.docs.pages import DOCS, anchors, code

RUNBOOKS = DOCS / "runbooks.md"
RULES = [*monitoring.rules("alerts.yml"), *monitoring.rules("machine-alerts.yml")]


def paragraphs() -> dict[str, str]:
    """Return what stands below each heading of the third level."""
    parts = re.split(r"(?m)^#{2,3} (.+)$", RUNBOOKS.read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_alert_and_problem_has_its_paragraph() -> None:
    found = set(re.findall(r"(?m)^### (.+)$", RUNBOOKS.read_text()))
    assert found == {rule["alert"] for rule in RULES} | {code.value for code in Code}
    for name in found:
        assert paragraphs()[name].strip().endswith("."), name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_names_its_paragraph(rule: monitoring.Json) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page == "docs/runbooks.md"
    assert anchor == rule["alert"].lower()
    assert anchor in anchors(RUNBOOKS)


def test_the_keys_that_are_looked_at() -> None:
    commands = [line.split("#")[0].split()[1:] for line in code(RUNBOOKS).splitlines()[1:-1]]
    deferred = keys.deferred(Lane.MESSAGES)
    assert commands == [
        ["HGET", keys.waiting(Lane.MESSAGES), "V"],
        ["XRANGE", keys.inbox(Lane.MESSAGES, "V"), "-", "+"],
        ["ZSCORE", deferred, "V/C"],
        ["LRANGE", keys.deferred_updates(Lane.MESSAGES, "V/C"), "0", "-1"],
    ]
