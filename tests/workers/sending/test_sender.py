"""One row is sent, and what follows is done."""

from dataclasses import dataclass, field, replace
from typing import cast

import orjson
import pytest
from structlog.testing import capture_logs

from contracts.backend import (
    CampaignState,
    PhoneNumber,
    SendError,
    SendOutcome,
    SendResult,
    VendorConfig,
    Verified,
)
from contracts.cloud_api.errors import rule_for
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, ResponseError
from sidecar.sending.halts import Halt
from sidecar.sending.pauses import Pauses
from tests.conftest import MakeSettings
from tests.workers.rows import CAMPAIGN, CLAIM, NUMBER, have_claimed, queued, state_of
from tests.workers.simulated_time import held_lease
from tests.workers.slots import limits
from workers.sending.cloud_api import (
    Accepted,
    Attempt,
    CloudApi,
    ErrorAnswer,
    NotSent,
    OutcomeUnknown,
)
from workers.sending.error_actions import ErrorActions
from workers.sending.ledger import Ledger, LedgerState
from workers.sending.limiter import Limiter
from workers.sending.send_config import SendConfig, Way
from workers.sending.send_queue import ClaimedSend
from workers.sending.sender import Sender

ACCEPTED = Accepted("wamid.1", "accepted", "999", {"messages": [{"id": "wamid.1"}]}, "GB.1")


def refused(code: int) -> ErrorAnswer:
    return ErrorAnswer(rule_for(code, 400), SendError(code=code, message=f"error {code}"))


def vendor_of(number: str = NUMBER, access_token: str | None = "token") -> VendorConfig:
    """Return a vendor that sends from a number with the names of :func:`limits`."""
    told = Verified(account_id="account-1", app_id="app-1", portfolio_id="portfolio-1")
    return VendorConfig(
        vendor_uid="vendor-1",
        access_token=access_token,
        current_phone_number_id=number,
        phone_numbers=[PhoneNumber(phone_number_id=NUMBER, verified=told)],
    )


class Scripted(CloudApi):
    """A Cloud API whose calls end as they are told to."""

    def __init__(self, *attempts: Attempt) -> None:
        super().__init__("http://127.0.0.1:9", "v1", timeout_s=1)
        self.attempts = list(attempts)
        self.sent: list[tuple[str, str, bytes]] = []

    async def send(
        self, number: str, access_token: str, body: bytes, endpoint: str = "messages"
    ) -> Attempt:
        self.sent.append((number, access_token, body))
        return self.attempts.pop(0) if len(self.attempts) > 1 else self.attempts[0]


@dataclass
class Collected:
    """What a sender has asked for."""

    reported: list[SendResult] = field(default_factory=list)
    returned: list[ClaimedSend] = field(default_factory=list)
    given_back: list[ClaimedSend] = field(default_factory=list)
    postponed: list[tuple[ClaimedSend, float, str | None]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    rests: int = 0
    holding: bool = False
    explained: bool = False
    asked: int = 0

    @property
    def stopped(self) -> bool:
        return bool(self.reasons)

    async def explains(self, row: ClaimedSend, way: Way, sent_at: float) -> bool:
        self.asked += 1
        return self.explained

    def report(self, result: SendResult) -> None:
        self.reported.append(result)

    def put_back(self, row: ClaimedSend, number: str) -> None:
        self.returned.append(row)

    def give_back(self, row: ClaimedSend) -> None:
        self.given_back.append(row)

    def postpone(self, row: ClaimedSend, wait_s: float, reason: str | None = None) -> None:
        self.postponed.append((row, wait_s, reason))

    def pause(self, reason: str) -> None:
        self.reasons.append(reason)

    def rest(self) -> None:
        self.rests += 1

    @property
    def rows(self) -> int:
        """How many rows have gone one way or another."""
        ways = len(self.reported) + len(self.returned) + len(self.given_back)
        return ways + len(self.postponed)


@dataclass
class Desk:
    """A sender, and what comes of it."""

    api: Scripted
    ledger: Ledger
    redis: Redis
    make_settings: MakeSettings
    outlet: Collected = field(default_factory=Collected)

    def sender(
        self, access_token: str | None = "token", like_errors: int = 3, number: str = NUMBER
    ) -> Sender:
        config = vendor_of(number, access_token)
        limiter = Limiter(self.redis)
        settings = self.make_settings(campaign_error_streak=like_errors)
        return Sender(
            self.api,
            limiter,
            self.ledger,
            ErrorActions(settings, self.redis, limiter),
            SendConfig(settings, config, CAMPAIGN),
            self.outlet,
        )

    async def held_ms(self, key: str = keys.number(NUMBER)) -> int:
        """Return for how long the number, or something else, is held."""
        seconds, micros = await self.redis.time()
        until = int(await self.redis.hget(key, "until") or 0)
        return max(0, until - seconds * 1_000_000 - micros) // 1000


@pytest.fixture
def desk(redis: Redis, ledger: Ledger, make_settings: MakeSettings) -> Desk:
    return Desk(Scripted(ACCEPTED), ledger, redis, make_settings)


async def send(desk: Desk, *attempts: Attempt, retries: int = 0) -> ClaimedSend:
    desk.api.attempts = list(attempts)
    row = queued(retries=retries)
    await have_claimed(desk.ledger, CLAIM, [row.uid])
    await desk.sender().send(row, limits(80.0))
    assert desk.outlet.rows == 1
    return row


async def test_a_user_id_that_is_not_known_is_not_mentioned(desk: Desk) -> None:
    """A PHP package that is older than the field refuses all results of a request with it."""
    await send(desk, replace(ACCEPTED, user_id=None))
    [one] = desk.outlet.reported
    assert one.wamid == "wamid.1"
    assert "user_id" not in orjson.loads(one.model_dump_json(exclude_unset=True))


async def test_an_accepted_row_is_reported_with_all_that_is_known(desk: Desk) -> None:
    row = await send(desk, ACCEPTED)
    [one] = desk.outlet.reported
    assert (one.uid, one.vendor_uid, one.campaign_uid) == (row.uid, "vendor-1", CAMPAIGN)
    assert (one.claim_uid, one.phone_number_id) == (CLAIM, NUMBER)
    assert one.outcome is SendOutcome.ACCEPTED
    assert (one.wamid, one.message_status, one.wa_id) == ("wamid.1", "accepted", "999")
    assert one.user_id == "GB.1"
    assert one.response == ACCEPTED.response
    assert (one.error, one.due_at) == (None, None)
    [(number, token, body)] = desk.api.sent
    assert (number, token) == (NUMBER, "token")
    assert row.uid.encode() in body


async def test_a_body_is_made_before_the_slot(desk: Desk) -> None:
    sender, row = desk.sender(), queued()
    prepared = sender.prepare(row)
    assert prepared is not None
    await sender.send(row, limits(80.0), prepared)
    [(_, _, body)] = desk.api.sent
    assert body is prepared.body


async def test_a_body_is_made_anew_if_it_goes_another_way_by_now(desk: Desk) -> None:
    sender, row = desk.sender(), queued(template_category="MARKETING")
    prepared = sender.prepare(row)
    vendor = sender._config.vendor.model_copy(update={"marketing_messages": "strict"})
    sender._config.vendor = vendor
    await sender.send(row, limits(80.0), prepared)
    [(_, _, body)] = desk.api.sent
    assert orjson.loads(body)["product_policy"] == "STRICT"


async def test_what_is_amiss_with_a_body_shows_when_it_is_sent(desk: Desk) -> None:
    sender, row = desk.sender(), queued(to="")
    assert sender.prepare(row) is None
    await sender.send(row, limits(80.0), None)
    [one] = desk.outlet.reported
    assert one.outcome is SendOutcome.FAILED


@pytest.mark.parametrize("to", ["", None])
async def test_a_row_that_names_nobody_fails_without_a_call(desk: Desk, to: str | None) -> None:
    row = queued(to=to)
    await have_claimed(desk.ledger, CLAIM, [row.uid])
    await desk.sender().send(row, limits(80.0))
    [one] = desk.outlet.reported
    assert one.outcome is SendOutcome.FAILED
    assert one.error is not None
    assert "neither a phone number nor a user id" in one.error.message
    assert desk.api.sent == []


@pytest.mark.parametrize(("code", "key"), [(131026, "suppressed:*"), (131056, "pair:*")])
async def test_what_follows_for_a_person_who_is_known_by_a_user_id(
    desk: Desk, code: int, key: str
) -> None:
    desk.api.attempts = [refused(code)]
    row = queued(to=None, recipient="GB.1")
    await have_claimed(desk.ledger, CLAIM, [row.uid])
    await desk.sender().send(row, limits(80.0))
    [found] = cast("list[bytes]", await desk.redis.keys(key))
    assert found.endswith(b":GB.1")


async def test_an_unknown_outcome_is_reported_and_not_tried_again(desk: Desk) -> None:
    await send(desk, OutcomeUnknown("no answer"))
    [one] = desk.outlet.reported
    assert one.outcome is SendOutcome.UNKNOWN
    assert one.error == SendError(code=None, message="no answer")
    assert len(desk.api.sent) == 1


async def test_a_row_that_is_to_come_later_says_when(desk: Desk) -> None:
    await send(desk, refused(131056), retries=2)
    [one] = desk.outlet.reported
    assert one.outcome is SendOutcome.REQUEUE
    assert one.due_at == one.at + 16_000
    assert one.attempted


async def test_a_recipient_that_has_had_too_much_gets_nothing_for_a_while(desk: Desk) -> None:
    """Not from another row either, or another campaign."""
    row = await send(desk, refused(131056), retries=2)
    assert 15_000 < await desk.redis.pttl(keys.pair(NUMBER, row.addressee)) <= 16_000
    assert await desk.held_ms() == 0


async def test_a_row_that_was_not_sent_is_claimed_again_and_comes_back(desk: Desk) -> None:
    row = await send(desk, NotSent("cannot connect"))
    assert desk.outlet.returned == [row]
    assert (await state_of(desk.ledger)).claimed == {row.uid: CLAIM}
    assert 500 < await desk.held_ms() <= 1250
    assert not await desk.redis.hexists(keys.number(NUMBER), "ceiling"), "that is not its speed"


async def test_a_throttled_row_comes_back_and_the_number_waits_and_slows(desk: Desk) -> None:
    row = await send(desk, refused(130429))
    assert desk.outlet.returned == [row]
    assert 500 < await desk.held_ms() <= 1250
    assert await desk.redis.hexists(keys.number(NUMBER), "ceiling")
    assert not desk.outlet.reasons


@pytest.mark.parametrize(
    ("code", "key"),
    [(80007, keys.hold("account", "account-1")), (4, keys.hold("app", "app-1"))],
)
async def test_a_limit_of_calls_holds_what_it_is_of(desk: Desk, code: int, key: str) -> None:
    row = await send(desk, refused(code))
    assert desk.outlet.returned == [row]
    assert 55_000 < await desk.held_ms(key) <= 75_000
    assert await desk.redis.hget(key, "reason") == f"{code} error {code}".encode()
    assert await desk.held_ms() == 0


async def test_calls_that_were_under_way_are_throttled_together(desk: Desk) -> None:
    """Twenty calls at once meet the limit: that is one throttling, and no reason to be silent
    for a minute."""
    sender = desk.sender()
    desk.api.attempts = [refused(130429)]
    for _ in range(20):
        await sender.send(queued(), limits(80.0))
    assert await desk.held_ms() <= 1250


async def test_an_account_that_is_locked_gives_the_row_back_and_pauses(desk: Desk) -> None:
    row = await send(desk, refused(131031))
    assert desk.outlet.given_back == [row]
    assert (await state_of(desk.ledger)).claimed == {row.uid: CLAIM}
    assert desk.outlet.reasons == ["131031 error 131031"]


async def test_a_defect_of_the_campaign_gives_the_row_back_and_pauses(desk: Desk) -> None:
    """A person mends it and resumes the campaign, and the row is as good as any other."""
    row = await send(desk, refused(132015))
    assert desk.outlet.given_back == [row]
    assert (await state_of(desk.ledger)).claimed == {row.uid: CLAIM}
    assert desk.outlet.reasons == ["132015 error 132015"]


@pytest.mark.parametrize(
    ("number", "token", "reason"),
    [
        ("", "token", "the vendor has no sending number"),
        (NUMBER, None, "the vendor has no access token"),
        (NUMBER, "", "the vendor has no access token"),
    ],
)
async def test_nothing_is_sent_without_a_number_or_a_token(
    desk: Desk, number: str, token: str | None, reason: str
) -> None:
    row = queued()
    await desk.sender(token, number=number).send(row, limits(80.0, number))
    assert desk.outlet.given_back == [row]
    assert desk.outlet.reasons == [reason]
    assert not desk.api.sent


async def test_a_row_that_cannot_be_written_fails_by_itself(desk: Desk) -> None:
    """A number of more than 64 bits, say. It would otherwise end the campaign, and count as
    perhaps sent."""
    await desk.sender().send(queued(components=[{"index": 2**80}]), limits(80.0))
    [one] = desk.outlet.reported
    assert one.outcome is SendOutcome.FAILED
    assert "components" in (one.error.message if one.error else "")
    assert not desk.api.sent


async def test_redis_goes_away_and_the_row_is_not_forgotten(desk: Desk, redis: Redis) -> None:
    await redis.set(keys.ledger(CAMPAIGN), "not a hash")
    for code, rows in ((130429, desk.outlet.returned), (131031, desk.outlet.given_back)):
        desk.api.attempts = [refused(code)]
        row = queued()
        with pytest.raises(ResponseError):
            await desk.sender().send(row, limits(80.0))
        assert rows == [row]


# -- settings that have changed --


async def test_a_row_whose_number_has_changed_since_it_got_its_slot(desk: Desk) -> None:
    """The number may be gone, or slower, and was given no slot for it."""
    await have_claimed(desk.ledger, CLAIM, [(row := queued()).uid])
    await desk.sender(number="220").send(row, limits(80.0))
    assert desk.outlet.returned == [row]
    assert not desk.api.sent
    assert (await state_of(desk.ledger)).claimed == {row.uid: CLAIM}


async def test_nothing_is_sent_while_php_is_asked(desk: Desk) -> None:
    desk.outlet.holding = True
    row = await send(desk, ACCEPTED)
    assert desk.outlet.returned == [row]
    assert not desk.api.sent


async def test_nothing_is_sent_for_a_vendor_that_is_not_active(desk: Desk) -> None:
    sender = desk.sender()
    sender._config.vendor = sender._config.vendor.model_copy(update={"active": False})
    await have_claimed(desk.ledger, CLAIM, [(row := queued()).uid])
    await sender.send(row, limits(80.0))
    assert desk.outlet.given_back == [row]
    assert not desk.api.sent
    assert (await state_of(desk.ledger)).claimed == {row.uid: CLAIM}


OUTDATED = [0, 3, 10, 33, 190, 250, 131005, 131031, 131037, 131042, 131048, 133010, 131063, 132001]


@pytest.mark.parametrize("code", OUTDATED)
async def test_a_refusal_that_a_changed_setting_explains(desk: Desk, code: int) -> None:
    """The row goes again, and nothing else follows."""
    desk.outlet.explained = True
    row = await send(desk, refused(code))
    assert desk.outlet.returned == [row]
    assert desk.outlet.asked == 1
    assert not desk.outlet.reasons
    assert not await Pauses(desk.redis).all()
    assert not await desk.redis.exists(keys.halt(CAMPAIGN))
    assert (await state_of(desk.ledger)).claimed == {row.uid: CLAIM}


@pytest.mark.parametrize("code", [190, 131031, 132001])
async def test_a_refusal_is_certain_while_php_is_asked(
    desk: Desk, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the worker dies meanwhile, nobody is to take the row for one that may have been sent."""
    known: list[LedgerState] = []

    async def explains(*_args: object) -> bool:
        known.append(await state_of(desk.ledger))
        return False

    monkeypatch.setattr(desk.outlet, "explains", explains)
    await have_claimed(desk.ledger, CLAIM, [(row := queued()).uid])
    lease = await held_lease(desk.redis, CAMPAIGN)
    await desk.ledger.begin(lease, [(row, NUMBER)])
    desk.api.attempts = [refused(code)]
    await desk.sender().send(row, limits(80.0))
    assert known == [LedgerState({row.uid: CLAIM}, {}, [])]


@pytest.mark.parametrize("code", [131026, 130429, 131056, 131009, 131000, 132015, 132007])
async def test_a_refusal_that_no_setting_explains(desk: Desk, code: int) -> None:
    await send(desk, refused(code))
    assert desk.outlet.asked == 0


@pytest.mark.parametrize(("number", "token"), [("", "token"), (NUMBER, None)])
async def test_a_number_or_a_token_may_be_there_by_now(
    desk: Desk, number: str, token: str | None
) -> None:
    desk.outlet.explained = True
    await have_claimed(desk.ledger, CLAIM, [(row := queued()).uid])
    await desk.sender(token, number=number).send(row, limits(80.0, number))
    assert desk.outlet.returned == [row]
    assert not desk.outlet.reasons


async def test_what_follows_is_for_the_number_as_it_is_known_now(desk: Desk) -> None:
    """Meta has confirmed its account since it was sent: nobody asks for its old name any more."""
    old = limits(80.0, line="vendor-1/110", account="vendor-1/")
    await have_claimed(desk.ledger, CLAIM, [(row := queued()).uid])
    desk.api.attempts = [refused(130429)]
    await desk.sender().send(row, old)
    assert 500 < await desk.held_ms() <= 1250
    assert not await desk.redis.exists(keys.number("vendor-1/110"))


# -- many in a row --


@pytest.mark.parametrize(
    "codes",
    [(131009, 131009, 131009), (131009, 131008, 131009), (1, 132000, 100), (999_999, 135000, 1)],
)
async def test_errors_of_the_class_in_a_row_stop_the_campaign(
    desk: Desk, codes: tuple[int, ...]
) -> None:
    """Whichever they are. The last one's row goes back: the campaign does not send any more."""
    sender = desk.sender(like_errors=3)
    desk.api.attempts = [refused(code) for code in codes]
    for _ in codes[:2]:
        await sender.send(queued(), limits(80.0))
    assert not desk.outlet.reasons
    await sender.send(row := queued(), limits(80.0))
    last = f"{codes[-1]} error {codes[-1]}"
    assert desk.outlet.reasons == [f"3 errors in a row, the last one: {last}"]
    assert len(desk.outlet.reported) == 2
    assert desk.outlet.given_back == [row]


@pytest.mark.parametrize("code", [131009, 131008, 135000])
async def test_rows_under_way_when_errors_stop_the_campaign_go_back(desk: Desk, code: int) -> None:
    """Also if it was stopped by somebody else, of which this process has not heard yet."""
    await desk.redis.set(keys.halt(CAMPAIGN), Halt(CampaignState.PAUSED, "by hand").dump())
    row = await send(desk, refused(code))
    assert desk.outlet.given_back == [row]
    assert not desk.outlet.reasons, "why it was stopped is known"
    assert await desk.redis.get(keys.errors(CAMPAIGN, "answer")) is None


async def test_what_concerns_the_recipient_ends_whatever_stops_the_campaign(desk: Desk) -> None:
    await desk.redis.set(keys.halt(CAMPAIGN), Halt(CampaignState.PAUSED, "by hand").dump())
    await send(desk, refused(131026))
    assert [one.outcome for one in desk.outlet.reported] == [SendOutcome.FAILED]


async def test_errors_that_are_not_in_a_row_stop_nothing(desk: Desk) -> None:
    sender = desk.sender(like_errors=3)
    bad = refused(131009)
    desk.api.attempts = [bad, bad, ACCEPTED, bad, bad, ACCEPTED]
    for _ in range(6):
        await sender.send(queued(), limits(80.0))
    assert not desk.outlet.reasons


async def test_what_is_accepted_ends_the_row_of_an_earlier_run(desk: Desk) -> None:
    bad = refused(131009)
    desk.api.attempts = [bad, bad, ACCEPTED, bad, bad, bad]
    for _ in range(5):
        await desk.sender(like_errors=3).send(queued(), limits(80.0))
    assert not desk.outlet.reasons
    await desk.sender(like_errors=3).send(queued(), limits(80.0))
    assert desk.outlet.reasons == ["3 errors in a row, the last one: 131009 error 131009"]


async def test_redis_is_away_when_a_row_of_errors_should_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was accepted is reported all the same, and the next one ends it."""
    sender = desk.sender()
    key = keys.errors(CAMPAIGN, "answer")
    await desk.redis.set(key, "131009 2")
    delete = desk.redis.delete

    async def fail(*names: str) -> int:
        monkeypatch.setattr(desk.redis, "delete", delete)
        raise RedisUnavailable[0]("gone")

    monkeypatch.setattr(desk.redis, "delete", fail)
    with pytest.raises(RedisUnavailable):
        await sender.send(queued(), limits(80.0))
    await sender.send(queued(), limits(80.0))
    assert len(desk.outlet.reported) == 2
    assert not await desk.redis.exists(key)


async def test_errors_about_recipients_do_not_interrupt_a_row_of_errors(desk: Desk) -> None:
    sender = desk.sender(like_errors=3)
    bad = refused(131009)
    desk.api.attempts = [bad, refused(131026), bad, OutcomeUnknown("x"), bad, bad]
    for _ in range(5):
        await sender.send(queued(), limits(80.0))
    assert len(desk.outlet.reasons) == 1


async def test_a_reason_is_logged_once(desk: Desk) -> None:
    sender = desk.sender()
    desk.api.attempts = [*[NotSent("cannot connect")] * 50, ACCEPTED]
    with capture_logs() as logs:
        for _ in range(51):
            await sender.send(queued(), limits(80.0))
    events = [log["event"] for log in logs if log["event"].startswith("messages")]
    assert events == ["messages.not_sent", "messages.not_sent.resolved"]
    assert logs[0]["campaign"] == CAMPAIGN
    assert "token" not in str(logs)
