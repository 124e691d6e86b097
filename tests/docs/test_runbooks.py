"""``docs/runbooks.md`` has a paragraph for every alert and every problem, and for nothing else."""

import re

import pytest

from sidecar.ops.problems import Code
from tests.deploy import monitoring
from tests.docs.pages import DOCS, anchors

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
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert page == "docs/runbooks.md"
    assert anchor == rule["alert"].lower()
    assert anchor in anchors(RUNBOOKS)
