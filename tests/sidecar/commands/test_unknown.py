"""``sidecar unknown``: listed, sent again, given up, with the embedded backend as PHP's side."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from contracts.backend import QueueStatus, UnknownMessage
from sidecar import logs
from sidecar.commands.main import main
from sidecar.ops.audit import Audit
from sidecar.php.client import BackendFailed
from sidecar.redis.client import Redis
from sidecar.sending import settling
from sidecar.sending.unknown_messages import UnknownMessages
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


@pytest.fixture(autouse=True)
def redis_address(redis_url: str, monkeypatch: pytest.MonkeyPatch, own_environment: None) -> None:
    """Where the audit is."""
    monkeypatch.setenv("SIDECAR_REDIS_URL", redis_url)


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


def test_all_are_listed_the_oldest_first(php: EmbeddedBackend, campaign: Campaign) -> None:
    result = run(php, "list")
    assert result.exit_code == 0, result.output
    head, first, second, third, *rest = result.stdout.splitlines()
    young, old, youngest, _ = campaign.row_uids
    for column in ("SINCE", "MESSAGE", "VENDOR", "CAMPAIGN", "TO", "WHY"):
        assert column in head
    for uid, line in ((old, first), (young, second), (youngest, third)):
        assert uid in line
    for part in (campaign.vendor.uid, campaign.uid, campaign.recipients[1], "did not come in time"):
        assert part in first
    assert first.index(campaign.uid) == second.index(campaign.uid) == head.index("CAMPAIGN")
    text = "\n".join(rest)
    assert "3 messages with an unknown outcome" in text
    for word in ("resend", "give-up", "twice", "--campaign", "--all"):
        assert word in text


@pytest.mark.parametrize(("phone", "shown"), [("GB.1349", "GB.1349"), ("", "-")])
def test_whom_a_row_without_a_number_was_for(
    php: EmbeddedBackend, campaign: Campaign, phone: str, shown: str
) -> None:
    php.change(TABLE, {"phone_with_country_code": phone}, _uid=campaign.row_uids[1])
    first = run(php, "list").stdout.splitlines()[1]
    assert f"  {shown}  " in first


@pytest.mark.parametrize(
    ("duration", "found"),
    [
        (None, [1, 0, 2]),
        ("24h", [1, 0]),
        ("2d", [1]),
        ("0", [1, 0, 2]),
        ("1500m", [1, 0]),
        ("3d", []),
    ],
)
def test_for_how_long(
    php: EmbeddedBackend, campaign: Campaign, duration: str | None, found: list[int]
) -> None:
    option = () if duration is None else ("--older-than", duration)
    uids = listed(run(php, "list", *option, "--json"))
    assert uids == [campaign.row_uids[position] for position in found]


def test_of_a_vendor_or_a_campaign(php: EmbeddedBackend, campaign: Campaign) -> None:
    for option, uid in (("--vendor", campaign.vendor.uid), ("--campaign", campaign.uid)):
        assert len(listed(run(php, "list", "--json", option, uid))) == 3
        assert listed(run(php, "list", "--json", option, "another")) == []


def test_many(php: EmbeddedBackend, campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.sending.unknown_messages._PAGE", 1)
    assert len(listed(run(php, "list", "--older-than", "0s", "--json"))) == 3


def test_none(php: EmbeddedBackend, campaign: Campaign) -> None:
    result = run(php, "list", "--older-than", "9d")
    assert result.stdout == "no message of unknown outcome was found\n"
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


# -- many, by what they have in common --


@pytest.fixture
def other(php: EmbeddedBackend, campaign: Campaign) -> Campaign:
    """Another vendor's campaign, with two of unknown outcome."""
    other = php.seed_campaign(php.seed_vendor(), 2)
    php.change(TABLE, {"status": 6}, campaigns__id=other.id)
    return other


@pytest.mark.parametrize("command", ["resend", "give-up"])
def test_of_a_campaign_or_a_vendor_or_all(
    php: EmbeddedBackend, campaign: Campaign, other: Campaign, command: str
) -> None:
    becomes = 1 if command == "resend" else 2
    asked = run(php, command, "--campaign", campaign.uid, answer="n\n")
    assert asked.exit_code == 1
    assert f"3 of vendor {campaign.vendor.uid}, campaign {campaign.uid}" in asked.stderr
    assert "3 messages" in asked.stderr.splitlines()[-2]
    assert statuses(php, campaign) == [6, 6, 6, 1]
    done = run(php, command, "--vendor", campaign.vendor.uid, "--older-than", "1d", answer="y\n")
    assert done.exit_code == 0, done.output
    assert "2 messages " in done.stdout
    assert statuses(php, campaign) == [becomes, becomes, 6, 1]
    assert statuses(php, other) == [6, 6]
    rest = run(php, command, "--all", "--yes", "--json")
    assert rest.exit_code == 0
    action = {"action": command.replace("-", "_")}
    assert orjson.loads(rest.stdout) == {**action, "done": 3, "skipped": {}, "complete": True}
    assert statuses(php, other) == [becomes, becomes]
    again = run(php, command, "--all", "--yes")
    assert (again.exit_code, again.stdout) == (
        0,
        "no message of unknown outcome was found; nothing to do\n",
    )


def test_a_question_names_some_campaigns(
    php: EmbeddedBackend, campaign: Campaign, other: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.commands.unknown._MAX_NAMED", 1)
    asked = run(php, "give-up", "--all", "--dry-run")
    assert f"3 of vendor {campaign.vendor.uid}, campaign {campaign.uid}" in asked.stderr
    assert "2 of 1 other campaigns" in asked.stderr


def test_counted_and_nothing_done(php: EmbeddedBackend, campaign: Campaign) -> None:
    result = run(php, "resend", "--all", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout == "3 messages with an unknown outcome; nothing was done\n"
    assert orjson.loads(run(php, "give-up", "--all", "--dry-run", "--json").stdout)["found"] == 3
    assert statuses(php, campaign) == [6, 6, 6, 1]


def test_in_pages_and_none_that_is_new(
    php: EmbeddedBackend, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What becomes unknown after the question was not confirmed."""
    monkeypatch.setattr("sidecar.sending.unknown_messages._PAGE", 1)
    monkeypatch.setattr(settling, "STEP", 1)

    *_, youngest, new = campaign.row_uids
    since = f"UPDATE {TABLE} SET updated_at = datetime('now', ?) WHERE _uid = ?"
    php.run(since, ("-1 hours", youngest))  # and the new one is older, by a clock that was set back

    def confirm(*_: Any, **__: Any) -> bool:
        php.change(TABLE, {"status": 6}, _uid=new)
        php.run(since, ("-2 hours", new))
        return True

    monkeypatch.setattr("click.confirm", confirm)
    assert "3 messages" in run(php, "resend", "--all").stdout
    assert statuses(php, campaign) == [1, 1, 1, 6]


def test_how_far_it_came_is_told(
    php: EmbeddedBackend, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "STEP", 1)
    resolve, calls = UnknownMessages.resolve, iter(range(9))

    async def failing(self: UnknownMessages, *arguments: Any) -> Any:
        if next(calls) == 2:
            raise BackendFailed("500")
        return await resolve(self, *arguments)

    monkeypatch.setattr(UnknownMessages, "resolve", failing)
    result = run(php, "give-up", "--all", "--yes")
    assert (result.exit_code, result.stdout) == (1, "2 messages given up\n")
    assert "repeat the command to go on" in result.stderr
    assert "PHP call failed: 500" in result.stderr
    assert statuses(php, campaign) == [2, 2, 6, 1]
    assert run(php, "give-up", "--all", "--yes").stdout == "1 message given up\n"


def test_those_that_a_status_settles_meanwhile_are_counted(
    php: EmbeddedBackend, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def confirm(*_: Any, **__: Any) -> bool:
        php.change(TABLE, {"status": 4}, _uid=campaign.row_uids[0])
        return True

    async def pages(self: UnknownMessages, choice: Any) -> Any:
        yield list(messages)

    messages = [UnknownMessage(uid=uid, vendor_uid="v", since=1) for uid in campaign.row_uids[:2]]
    monkeypatch.setattr(UnknownMessages, "pages", pages)
    monkeypatch.setattr("click.confirm", confirm)
    result = run(php, "give-up", "--all")
    assert (result.exit_code, result.stdout) == (0, "1 message given up\n")
    assert "1 message skipped: its outcome is known by now" in result.stderr


@pytest.mark.parametrize("command", ["resend", "give-up"])
@pytest.mark.parametrize(
    "arguments", [(), ("--older-than", "1d"), ("a", "--all"), ("a", "--older-than", "1d")]
)
def test_which_is_not_said(php: EmbeddedBackend, command: str, arguments: tuple[str, ...]) -> None:
    result = run(php, command, *arguments)
    assert result.exit_code == 2
    assert "--campaign UID, --vendor UID or --all" in result.stderr


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


# -- the audit --


async def test_what_was_done_is_recorded(
    php: EmbeddedBackend, campaign: Campaign, redis: Redis
) -> None:
    def command(*arguments: str) -> Result:
        return run(php, *arguments)

    first, *_ = campaign.row_uids
    await asyncio.to_thread(command, "list")
    await asyncio.to_thread(command, "resend", "--all", "--dry-run")
    assert await Audit(redis, 100).read() == []
    await asyncio.to_thread(command, "resend", "--yes", first)
    await asyncio.to_thread(command, "give-up", "--yes", "--older-than", "1d", "--all")
    given_up, resent = await Audit(redis, 100).read()
    assert (resent.who.kind, resent.action, resent.target) == ("command", "unknown.resend", first)
    assert resent.details == {"done": 1, "skipped": 0}
    assert (given_up.action, given_up.target) == ("unknown.give_up", "unknown for 24 h")
    assert given_up.details == {"done": 1, "skipped": 0}
