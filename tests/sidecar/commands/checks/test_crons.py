"""PHP's crons, and what waits for them and for the sidecar."""

from typing import Any

import pytest

from contracts.diagnosis import CronFacts, DatabaseFacts, DiagnosisAnswer, PhpFacts, Waiting
from contracts.modes import Modes, ModesAnswer, VendorModes
from sidecar.commands.checks.crons import judge_crons
from tests.sidecar.commands.checks.lines import levels, named

NOW = 1_700_000_000_000
PHP = PhpFacts(package="", php="", signing_key_ids=[], signing_window_s=300)
DATABASE = DatabaseFacts(product="mariadb", version="", now=NOW)


def cron(table: str, seen_s: float | None = 2.0, *models: str) -> CronFacts:
    seen_at = None if seen_s is None else NOW - int(seen_s * 1000)
    return CronFacts(table=table, models=list(models or ("App\\Model",)), seen_at=seen_at)


def without_model(table: str) -> CronFacts:
    return CronFacts(table=table, seen_at=NOW)


def diagnosis(
    *crons: CronFacts, due_s: float | None = None, pending_s: float | None = None, **more: Any
) -> DiagnosisAnswer:
    """Rows of vendor "v" wait for so long."""
    due, pending = (
        [] if s is None else [Waiting(vendor_uid="v", oldest_at=NOW - int(s * 1000))]
        for s in (due_s, pending_s)
    )
    return DiagnosisAnswer(
        now=NOW,
        php=PHP,
        database=DATABASE,
        tables=[],
        crons=list(crons) or [cron("queue"), cron("webhooks")],
        due=due,
        pending_webhooks=pending,
        **more,
    )


def modes(mode: str) -> ModesAnswer:
    both = Modes.model_validate({"webhooks": mode, "campaigns": mode})
    return ModesAnswer(version=1, vendors=[VendorModes(vendor_uid="v", modes=both)])


@pytest.mark.parametrize("mode", ["php", "shadow", "sidecar"])
def test_all_is_well(mode: str) -> None:
    found = levels(judge_crons(diagnosis(), modes(mode)))
    if mode == "shadow":
        assert len(found) == 8
    assert set(found.values()) == {"OK"}


def test_a_php_side_without_crons() -> None:
    answer = diagnosis().model_copy(update={"crons": None})
    found = levels(judge_crons(answer, modes("sidecar")))
    assert set(found.values()) == {"OK"}
    assert "campaigns cron and the sidecar's vendors" not in found


@pytest.mark.parametrize(
    ("mode", "seen_s", "level"),
    [
        ("php", 119, "OK"),
        ("php", 121, "WARN"),
        ("php", None, "WARN"),
        ("sidecar", 121, "OK"),
        ("sidecar", None, "OK"),
    ],
)
def test_whether_it_runs(mode: str, seen_s: float | None, level: str) -> None:
    answer = diagnosis(cron("queue", seen_s), cron("webhooks", seen_s))
    found = levels(judge_crons(answer, modes(mode)))
    assert (found["campaigns cron"], found["webhooks cron"]) == (level, level)


@pytest.mark.parametrize(
    ("mode", "campaigns", "webhooks"), [("php", "WARN", "WARN"), ("sidecar", "FAIL", "WARN")]
)
def test_a_cron_that_is_not_kept_off(mode: str, campaigns: str, webhooks: str) -> None:
    answer = diagnosis(
        without_model("queue"), without_model("webhooks"), cron_models_missing=["App\\Gone"]
    )
    lines = list(judge_crons(answer, modes(mode)))
    found = levels(lines)
    assert found["campaigns cron and the sidecar's vendors"] == campaigns
    assert found["webhooks cron and the sidecar's vendors"] == webhooks
    assert "App\\Gone" in named(lines, "campaigns cron and the sidecar's vendors").detail


@pytest.mark.parametrize(
    ("seen_s", "waited_s", "level"),
    [
        (2, None, "OK"),
        (2, 59, "OK"),
        (2, 61, "WARN"),
        (121, 61, "FAIL"),
        (None, 61, "FAIL"),
        (None, 59, "OK"),
    ],
)
def test_what_waits_for_php(seen_s: float | None, waited_s: float | None, level: str) -> None:
    answer = diagnosis(
        cron("queue", seen_s), cron("webhooks", seen_s), due_s=waited_s, pending_s=waited_s
    )
    found = levels(judge_crons(answer, modes("php")))
    assert found["rows of campaigns for PHP"] == level
    assert found["stored webhooks for PHP"] == level
    assert found["rows of campaigns for the sidecar"] == "OK"


@pytest.mark.parametrize(("waited_s", "due", "pending"), [(59, "OK", "OK"), (61, "WARN", "FAIL")])
def test_what_waits_for_the_sidecar(waited_s: float, due: str, pending: str) -> None:
    answer = diagnosis(due_s=waited_s, pending_s=waited_s)
    found = levels(judge_crons(answer, modes("sidecar")))
    assert found["rows of campaigns for the sidecar"] == due
    assert found["stored webhooks for the sidecar"] == pending
    assert found["stored webhooks for PHP"] == "OK"


def test_the_oldest_counts() -> None:
    answer = diagnosis(due_s=10)
    older = Waiting(vendor_uid="v", oldest_at=NOW - 3_600_000)
    answer = answer.model_copy(update={"due": [*answer.due, older]})
    line = named(judge_crons(answer, modes("php")), "rows of campaigns for PHP")
    assert "60 min" in line.detail
