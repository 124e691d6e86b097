"""``sidecar unknown``: listed, sent again, given up, with the embedded backend as PHP's side."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from contracts.backend import QueueStatus
from sidecar import logs
from sidecar.commands.main import main
from tests import trust
from tests.contract.embedded import EmbeddedBackend
from tests.contract.under_test import Campaign

pytestmark = pytest.mark.usefixtures("own_environment")

TABLE = "whatsapp_message_queue"
#: Yesterday for the first row, the day before for the second.
HOUR = 3600


class Backend(EmbeddedBackend):
    keys = {trust.KEY_ID: trust.SIGNING_SECRET.encode()}


@pytest.fixture(scope="module")
def php(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBackend]:
    with Backend(tmp_path_factory.mktemp("backend")) as running:
        yield running


@pytest.fixture(autouse=True)
def no_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be set up for good."""
    monkeypatch.setattr(logs, "configure", lambda *_: None)


@pytest.fixture
def campaign(php: EmbeddedBackend) -> Campaign:
    """Four rows: three of unknown outcome, for 25, 49 and 0 hours, and one that is queued."""
    php.delete(TABLE)
    campaign = php.seed_campaign(php.seed_vendor(), 4)
    response = {"error_message": "the answer did not come in time"}
    for uid, hours in zip(campaign.row_uids, (25, 49, 0), strict=False):
        php.change(TABLE, {"status": 6, "__data.process_response": response}, _uid=uid)
        php.run(
            f"UPDATE {TABLE} SET updated_at = datetime('now', ?) WHERE _uid = ?",
            (f"-{hours} hours", uid),
        )
    return campaign


def run(php: EmbeddedBackend, *arguments: str, answer: str | None = None) -> Result:
    environment = {
        "SIDECAR_BACKEND_URL": php.base_url,
        "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
    }
    return CliRunner().invoke(main, ["unknown", *arguments], env=environment, input=answer)


def statuses(php: EmbeddedBackend, campaign: Campaign) -> list[int]:
    return [row["status"] for row in php.rows(TABLE, campaigns__id=campaign.id)]


def listed(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [orjson.loads(line)["uid"] for line in result.stdout.splitlines()]


# -- list --


def test_those_of_yesterday_and_before_are_listed(php: EmbeddedBackend, campaign: Campaign) -> None:
    result = run(php, "list")
    assert result.exit_code == 0, result.output
    head, first, second, *rest = result.stdout.splitlines()
    young, old, *_ = campaign.row_uids
    for column in ("SINCE", "MESSAGE", "VENDOR", "CAMPAIGN", "TO", "WHY"):
        assert column in head
    assert old in first
    assert young in second
    for part in (campaign.vendor.uid, campaign.uid, campaign.recipients[1], "did not come in time"):
        assert part in first
    assert first.index(campaign.uid) == second.index(campaign.uid) == head.index("CAMPAIGN")
    text = "\n".join(rest)
    assert "2 messages with an outcome unknown for more than 24h" in text
    assert "resend" in text
    assert "give-up" in text
    assert "twice" in text


@pytest.mark.parametrize(("phone", "shown"), [("GB.1349", "GB.1349"), ("", "-")])
def test_whom_a_row_without_a_number_was_for(
    php: EmbeddedBackend, campaign: Campaign, phone: str, shown: str
) -> None:
    php.change(TABLE, {"phone_with_country_code": phone}, _uid=campaign.row_uids[1])
    first = run(php, "list").stdout.splitlines()[1]
    assert f"  {shown}  " in first


@pytest.mark.parametrize(
    ("duration", "found"),
    [("24h", [1, 0]), ("2d", [1]), ("0", [1, 0, 2]), ("1500m", [1, 0]), ("3d", [])],
)
def test_for_how_long(
    php: EmbeddedBackend, campaign: Campaign, duration: str, found: list[int]
) -> None:
    uids = listed(run(php, "list", "--older-than", duration, "--json"))
    assert uids == [campaign.row_uids[position] for position in found]


def test_of_a_vendor_or_a_campaign(php: EmbeddedBackend, campaign: Campaign) -> None:
    for option, uid in (("--vendor", campaign.vendor.uid), ("--campaign", campaign.uid)):
        assert len(listed(run(php, "list", "--json", option, uid))) == 2
        assert listed(run(php, "list", "--json", option, "another")) == []


def test_many(php: EmbeddedBackend, campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.sending.unknown_messages._PAGE", 1)
    assert len(listed(run(php, "list", "--older-than", "0s", "--json"))) == 3


def test_none(php: EmbeddedBackend, campaign: Campaign) -> None:
    result = run(php, "list", "--older-than", "9d")
    assert result.stdout == "no message has an outcome unknown for more than 9d\n"
    assert run(php, "list", "--older-than", "9d", "--json").stdout == ""


@pytest.mark.parametrize("duration", ["x", "", "-1h", "1w", "1.5h"])
def test_no_duration(php: EmbeddedBackend, duration: str) -> None:
    result = run(php, "list", f"--older-than={duration}")
    assert result.exit_code == 2
    assert "is not a duration; write 90s, 30m, 12h or 7d" in result.stderr


# -- resend --


def test_resending_is_asked_about(php: EmbeddedBackend, campaign: Campaign) -> None:
    first, second, *_ = campaign.row_uids
    for answer in ("n\n", "\n", ""):
        result = run(php, "resend", first, second, answer=answer)
        assert result.exit_code == 1
        assert "2 messages" in result.output
        assert "twice" in result.output
    assert statuses(php, campaign) == [6, 6, 6, 1]
    result = run(php, "resend", first, answer="y\n")
    assert result.exit_code == 0, result.output
    assert "1 message will be resent" in result.stdout
    assert statuses(php, campaign) == [1, 6, 6, 1]


def test_resending_without_being_asked(php: EmbeddedBackend, campaign: Campaign) -> None:
    result = run(php, "resend", "--yes", *campaign.row_uids[:2])
    assert result.exit_code == 0, result.output
    assert "2 messages will be resent" in result.stdout
    assert statuses(php, campaign) == [1, 1, 6, 1]


def test_what_cannot_be_sent_again_is_named(php: EmbeddedBackend, campaign: Campaign) -> None:
    first, queued = campaign.row_uids[0], campaign.row_uids[3]
    result = run(php, "resend", "--yes", "nothing", queued, first, first)
    assert result.exit_code == 0
    assert "1 message will be resent" in result.stdout
    assert "nothing: skipped: no such message" in result.stderr
    assert f"{queued}: skipped: its outcome is known by now" in result.stderr
    again = run(php, "resend", "--yes", first)
    assert again.exit_code == 1
    assert "0 messages" in again.stdout


# -- give up --


def test_giving_up(php: EmbeddedBackend, campaign: Campaign) -> None:
    first, second, *_ = campaign.row_uids
    result = run(php, "give-up", first, second, "--reason", "asked them")
    assert (result.exit_code, result.stdout) == (0, "2 messages given up\n")
    assert statuses(php, campaign) == [QueueStatus.ERROR, QueueStatus.ERROR, 6, 1]
    (row,) = php.rows(TABLE, _uid=first)
    assert "asked them" in row["__data"]["process_response"]["error_message"]


def test_more_than_one_call_takes(php: EmbeddedBackend, campaign: Campaign) -> None:
    uids = [*(f"no-{number}" for number in range(1500)), campaign.row_uids[0]]
    result = run(php, "give-up", *uids)
    assert (result.exit_code, result.stdout) == (0, "1 message given up\n")
    assert len(result.stderr.splitlines()) == 1500


def test_a_reason_that_is_too_long(php: EmbeddedBackend) -> None:
    result = run(php, "give-up", "a", "--reason", "x" * 501)
    assert result.exit_code == 2
    assert "at most 500 characters" in result.stderr


@pytest.mark.parametrize("command", ["resend", "give-up"])
def test_nothing_to_do(php: EmbeddedBackend, command: str) -> None:
    result = run(php, command)
    assert result.exit_code == 2
    assert "MESSAGE" in result.stderr


# -- without PHP --


@pytest.mark.parametrize("arguments", [("list",), ("resend", "--yes", "a"), ("give-up", "a")])
def test_php_is_away(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    environment = {
        "SIDECAR_BACKEND_URL": "http://127.0.0.1:9",
        "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
    }
    result = CliRunner().invoke(main, ["unknown", *arguments], env=environment)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: PHP call failed: ")
    assert len(result.stderr.splitlines()) == 1
