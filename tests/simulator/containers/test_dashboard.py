"""The dashboard's questions, as Prometheus is asked them."""

import json

from simulator.containers.dashboard import DASHBOARD, questions


def test_questions_have_no_variables_left() -> None:
    found = list(questions(json.loads(DASHBOARD.read_bytes())))
    assert len(found) > 20
    assert not any("$" in expression for _, expression in found)
