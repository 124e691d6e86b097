"""Every error code as a failed status: what is done, and how often it counts."""

import itertools
import time
from typing import Any, cast

import orjson
import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.backend import PhoneNumber, SendError, VendorConfig, Verified
from contracts.cloud_api.errors import RULES
from contracts.jobs import Lane
from contracts.modes import Mode, Modes
from sidecar.metrics import METRICS, STATUSES_MISFIT
from sidecar.php.client import BackendUnavailable
from sidecar.redis import keys
from sidecar.redis.client import RedisUnavailable
from sidecar.sending.halts import Halts
from sidecar.sending.pauses import Pauses, own_name
from tests.workers.conftest import MakeLane
from tests.workers.error_effects import ACTIONS, OF_THE_MESSAGE, effects
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import METADATA, VENDOR, status, webhook
from tests.workers.php import Answer, Call, Php, answer, results
from workers.inbox.commit import Commit
from workers.sending.error_actions import ErrorActions, Failure
from workers.sending.error_policy import decide_error
from workers.sending.holds import Scope
from workers.sending.limits import Limits

BATCH = contract.PROCESS_WEBHOOKS
CAMPAIGN = "campaign-1"
NUMBER = METADATA["phone_number_id"]
#: Of the webhooks of tests.workers.payloads.
ACCOUNT = "waba-1"
RECIPIENT = "99912345"


def failed(wamid: str, code: int | None = 131009, *, at: float | None = None) -> bytes:
    """Return a webhook that says that a message has failed just now, or then."""
    errors = [] if code is None else [{"code": code, "title": f"error {code}"}]
    seconds = str(int(time.time() if at is None else at))
    more: dict[str, Any] = {"recipient_id": RECIPIENT, "errors": errors, "timestamp": seconds}
    return webhook(statuses=[status(wamid, "failed", **more)])


def went(wamid: str, name: str = "sent") -> bytes:
    return webhook(statuses=[status(wamid, name)])


@pytest.fixture
def lane(php: Php, make_lane: MakeLane) -> LaneUnderTest:
    """A lane of statuses, each of which changes a message of the campaign."""
    php.when(BATCH, lambda call: results(call, campaign_uid=CAMPAIGN))
    lane = make_lane(Lane.STATUSES, campaign_error_streak=3)
    lane.configs[VENDOR] = vendor_of(verified=Verified(account_id=ACCOUNT, app_id="app-1"))
    return lane


def vendor_of(**number: Any) -> VendorConfig:
    numbers = [PhoneNumber(phone_number_id=NUMBER, **number)]
    return VendorConfig(vendor_uid=VENDOR, phone_numbers=numbers)


async def receive(lane: LaneUnderTest, *bodies: bytes) -> None:
    """Have statuses processed in one batch."""
    await lane.receive(*bodies)
    await lane.drain()


async def seen(lane: LaneUnderTest, account: str = ACCOUNT) -> set[str]:
    return await effects(
        lane.redis,
        vendor=VENDOR,
        campaign=CAMPAIGN,
        number=NUMBER,
        account=account,
        path="status",
    )


@pytest.mark.parametrize("code", RULES)
async def test_a_status(lane: LaneUnderTest, code: int) -> None:
    await receive(lane, failed("wamid.1", code))
    assert await seen(lane) == ACTIONS[code] - OF_THE_MESSAGE


@pytest.mark.parametrize("code", RULES)
async def test_a_status_that_changes_nothing(php: Php, lane: LaneUnderTest, code: int) -> None:
    """It is repeated, or of a failure that the answer has told, or of no campaign."""
    php.when(BATCH, results)
    await receive(lane, failed("wamid.1", code))
    assert await seen(lane) == set()


@pytest.mark.parametrize("result", ["ignored", "retry"])
async def test_a_status_that_php_did_not_apply(php: Php, lane: LaneUnderTest, result: str) -> None:
    php.when(BATCH, lambda call: results(call, result, campaign_uid=CAMPAIGN))
    await receive(lane, failed("wamid.1", 131031))
    assert await seen(lane) == set()


async def test_a_code_of_the_range_of_permissions_and_those_that_are_new(
    lane: LaneUnderTest,
) -> None:
    await receive(lane, failed("wamid.1", 250))
    assert await seen(lane) == {"token paused"}
    await receive(lane, failed("wamid.2", 999_999))
    assert await seen(lane) == {"token paused", "counted"}


async def test_a_failure_without_an_error(lane: LaneUnderTest) -> None:
    await receive(lane, failed("wamid.1", None), webhook(statuses=[status("wamid.2", "failed")]))
    assert await seen(lane) == {"counted"}


# -- whom it is of --


async def test_an_account_that_php_names_no_id_for(lane: LaneUnderTest) -> None:
    """Its campaigns ask for slots under the vendor's name."""
    lane.configs[VENDOR] = vendor_of()
    await receive(lane, failed("wamid.1", 131042))
    assert await seen(lane, "") == {"account paused"}
    [paused] = await Pauses(lane.redis).all()
    assert str(paused).startswith(f"account of vendor {VENDOR} is paused: 131042")


@pytest.mark.parametrize(
    ("code", "signs"),
    [
        (131042, set()),
        (130429, set()),
        (131056, set()),
        (4, set()),
        (131048, {"number paused"}),
        (190, {"token paused"}),
    ],
)
async def test_a_vendor_that_php_says_nothing_of(
    lane: LaneUnderTest, code: int, signs: set[str]
) -> None:
    """What its sends ask for whatever PHP may say of it is paused. Nothing else would stop any."""
    lane.configs.clear()
    counted = METRICS.counter(STATUSES_MISFIT).value
    await receive(lane, failed("wamid.1", code))
    assert await seen(lane) == signs
    assert METRICS.counter(STATUSES_MISFIT).value == counted + (not signs)


async def test_php_does_not_say_anything_of_the_vendor_now(
    lane: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def away(vendor_uid: str) -> None:
        asked.append(vendor_uid)
        raise BackendUnavailable("gone")

    monkeypatch.setattr(lane.status_errors, "_find_config", away)
    await receive(lane, *(failed(f"wamid.{n}", 131048) for n in range(5)))
    assert await seen(lane) == {"number paused"}
    assert asked == [VENDOR]


async def test_a_status_that_does_not_say_which_number(lane: LaneUnderTest) -> None:
    body = orjson.loads(failed("wamid.1", 131048))
    del body["entry"][0]["changes"][0]["value"]["metadata"]
    await receive(lane, orjson.dumps(body))
    assert await seen(lane) == set()


async def test_the_reason_is_the_apis(lane: LaneUnderTest) -> None:
    await receive(lane, failed("wamid.1", 131042), failed("wamid.2", 131031))
    [paused] = await Pauses(lane.redis).all()
    assert (paused.scope, paused.id, paused.vendor_uid) == ("account", ACCOUNT, VENDOR)
    assert (paused.code, paused.reason) == (131031, "131031 error 131031")


# -- only what a send asks for is held --

CODES = [33, 131048, 131042, 190, 4, 80007, 130429, 131056, 134101]
VERIFIED = [
    None,
    Verified(account_id="waba-m"),
    Verified(account_id="waba-m", app_id="app-m", portfolio_id="portfolio-m"),
]
CONFIGS = [
    VendorConfig(
        vendor_uid=VENDOR,
        whatsapp_business_account_id=account,
        current_phone_number_id=current,
        phone_numbers=[PhoneNumber(phone_number_id=one, verified=told) for one in listed],
    )
    for account, current, told, listed in itertools.product(
        (None, "waba-e", "waba-m"), (None, "110", "220"), VERIFIED, ([], ["110"], ["110", "330"])
    )
]
#: Numbers that webhooks name. From the last one rows go, although PHP does not list it.
NUMBERS = ["", "110", "220", "440", "550"]


def asked(limits: Limits, campaign: str = CAMPAIGN) -> set[tuple[Any, ...]]:
    """Return what a send with these limits asks for."""
    names = {(scope, limits.name(scope)) for scope in (Scope.NUMBER, Scope.ACCOUNT, Scope.APP)}
    pauses = {("pause", name) for name in limits.pauses}
    return {*names, *pauses, ("pair", limits.line), (Scope.CAMPAIGN, campaign)}


class Asked:
    """A Redis that has been asked for slots of these lines only."""

    def __init__(self, *lines: str) -> None:
        self.keys = {keys.number(line) for line in lines}

    async def zscore(self, name: str, key: str) -> float | None:
        assert name == keys.NUMBERS
        return 1.0 if key in self.keys else None


async def planned(
    lane: LaneUnderTest, config: VendorConfig | None, code: int, number: str, account: str | None
) -> set[tuple[Any, ...]] | None:
    """Return what would be held and paused, or None if nothing fits."""
    errors = lane.status_errors
    named = VendorConfig(vendor_uid=VENDOR, whatsapp_business_account_id=account)
    decision = decide_error(RULES[code], SendError(code=code, message="x"))
    limits = Limits.of(named, number, lane.settings)
    error = SendError(code=code, message="x")
    failure = Failure(VENDOR, CAMPAIGN, limits, (RECIPIENT,), time.time(), error, decision)
    placed = await errors._placed(failure, config)
    if placed is None:
        return None
    return {cast("tuple[Any, ...]", key)[:2] for key in errors._error_actions.plan(placed)}


@pytest.mark.parametrize("code", CODES)
async def test_what_is_held_is_something_that_a_send_asks_for(
    lane: LaneUnderTest, code: int
) -> None:
    """For any configuration and any webhook; or nothing fits, which is counted."""
    own = own_name(VENDOR, "550")
    lane.status_errors._redis = cast(Any, Asked(own))
    fitted = 0
    for config, number, account in itertools.product(
        CONFIGS, NUMBERS, (None, "waba-e", "waba-m", "waba-x")
    ):
        found = await planned(lane, config, code, number, account)
        sends = {*(one.phone_number_id for one in config.phone_numbers), "550"}
        if config.current_phone_number_id is not None:
            sends.add(config.current_phone_number_id)
        wanted = set[tuple[Any, ...]]()
        for one in sends:
            wanted |= asked(Limits.of(config, one, lane.settings))
        assert (found or set()) <= wanted, (config, number, account)
        if number in sends:
            assert found, (config, number, account)
            assert found <= asked(Limits.of(config, number, lane.settings))
        fitted += found is not None
    assert fitted


@pytest.mark.parametrize("code", CODES)
async def test_what_is_held_where_php_says_nothing_is_asked_for_in_any_case(
    lane: LaneUnderTest, code: int
) -> None:
    for number, account in itertools.product(NUMBERS, (None, "waba-e", "waba-x")):
        found = await planned(lane, None, code, number, account)
        for config in CONFIGS:
            assert (found or set()) <= asked(Limits.of(config, number, lane.settings))


async def test_an_account_by_another_number_of_it(lane: LaneUnderTest) -> None:
    """The number is gone, and PHP knows another one of the same account."""
    lane.configs[VENDOR] = VendorConfig(
        vendor_uid=VENDOR,
        phone_numbers=[PhoneNumber(phone_number_id="9", verified=Verified(account_id=ACCOUNT))],
    )
    await receive(lane, failed("wamid.1", 131042))
    assert await seen(lane) == {"account paused"}


async def test_rows_go_from_a_number_that_php_does_not_list(lane: LaneUnderTest) -> None:
    lane.configs[VENDOR] = vendor_of().model_copy(update={"phone_numbers": []})
    counted = METRICS.counter(STATUSES_MISFIT).value
    await receive(lane, failed("wamid.1", 131048))
    assert await seen(lane) == set()
    assert METRICS.counter(STATUSES_MISFIT).value == counted + 1
    await lane.redis.zadd(keys.NUMBERS, {keys.number(own_name(VENDOR, NUMBER)): 1})
    await receive(lane, failed("wamid.2", 131048))
    assert await seen(lane) == {"number paused"}


async def test_what_fits_nothing_is_said(lane: LaneUnderTest) -> None:
    """The number is gone, and the one that there is belongs to another account."""
    another = PhoneNumber(phone_number_id="9", verified=Verified(account_id="another"))
    lane.configs[VENDOR] = VendorConfig(vendor_uid=VENDOR, phone_numbers=[another])
    with capture_logs() as logs:
        await receive(lane, failed("wamid.1", 131042), failed("wamid.2", 131031))
    [told] = [log for log in logs if log["event"] == "status.number_unknown"]
    assert (told["vendor"], told["number"], told["account"]) == (VENDOR, NUMBER, ACCOUNT)
    assert await seen(lane) == set()


# -- what has passed --


@pytest.mark.parametrize("code", [130429, 131056, 80007, 134101])
async def test_what_passes_by_itself_and_came_late(lane: LaneUnderTest, code: int) -> None:
    """Webhooks that could not be taken are repeated for days."""
    await receive(lane, failed("wamid.1", code, at=time.time() - 3600))
    assert await seen(lane) == set()


@pytest.mark.parametrize(("code", "sign"), [(131031, "account paused"), (131048, "number paused")])
async def test_a_failure_from_before_a_person_acted(
    lane: LaneUnderTest, code: int, sign: str
) -> None:
    await receive(lane, failed("wamid.1", code))
    pauses = Pauses(lane.redis)
    await pauses.lift(await pauses.all())
    await receive(lane, failed("wamid.2", code, at=time.time() - 2))
    assert await seen(lane) == set()
    await lane.redis.set(keys.lifted("account", ACCOUNT), int(time.time() - 5) * 1000)
    await lane.redis.set(keys.lifted("number", NUMBER), int(time.time() - 5) * 1000)
    await receive(lane, failed("wamid.3", code))
    assert await seen(lane) == {sign}


async def test_a_defect_from_before_a_person_resumed_the_campaign(lane: LaneUnderTest) -> None:
    await lane.redis.set(keys.lifted("campaign", CAMPAIGN), int(time.time() * 1000))
    before = time.time() - 2
    await receive(lane, *(failed(f"wamid.{n}", 131009, at=before) for n in range(5)))
    await receive(lane, failed("wamid.9", 132015, at=before))
    assert await seen(lane) == set()


# -- many in a row --


async def halted(lane: LaneUnderTest) -> str | None:
    halt = await Halts(lane.redis).find(CAMPAIGN)
    return None if halt is None else halt.reason


async def test_errors_in_a_row_stop_the_campaign(lane: LaneUnderTest) -> None:
    """In one batch, or in several."""
    await receive(lane, failed("wamid.1"))
    await receive(lane, failed("wamid.2", 131008))
    assert await halted(lane) is None
    with capture_logs() as logs:
        await receive(lane, failed("wamid.3"))
    assert await halted(lane) == "3 errors in a row, the last one: 131009 error 131009"
    assert await lane.redis.hget(keys.CAMPAIGNS, CAMPAIGN) == VENDOR.encode(), "PHP is to be told"
    assert [log["campaign"] for log in logs if log["event"] == "campaign.paused"] == [CAMPAIGN]


async def test_all_in_one_batch(lane: LaneUnderTest) -> None:
    await receive(lane, *(failed(f"wamid.{n}", (131009, 131008, 100)[n]) for n in range(3)))
    assert await halted(lane) is not None


@pytest.mark.parametrize("turns", [1, 2, 7])
async def test_errors_that_are_not_in_a_row(lane: LaneUnderTest, turns: int) -> None:
    bad = [failed(f"wamid.{n}") for n in range(4)]
    mixed = [*bad[:2], went("wamid.8"), *bad[2:], went("wamid.9"), failed("wamid.10", 131008)]
    size = -(-len(mixed) // turns)
    for start in range(0, len(mixed), size):
        await receive(lane, *mixed[start : start + size])
    assert await halted(lane) is None


@pytest.mark.parametrize("name", ["delivered", "read"])
async def test_what_was_sent_long_ago_says_nothing_of_now(lane: LaneUnderTest, name: str) -> None:
    """Messages are read for hours while others fail."""
    for n in range(3):
        await receive(lane, failed(f"wamid.{n}"), went(f"wamid.1{n}", name))
    assert await halted(lane) is not None


async def test_what_was_sent_and_delivered_in_one_batch(lane: LaneUnderTest) -> None:
    for n in range(4):
        await receive(lane, failed(f"wamid.{n}"), went(f"wamid.1{n}"), went(f"wamid.1{n}", "read"))
    assert await halted(lane) is None


async def test_recipients_errors_do_not_interrupt_a_row(lane: LaneUnderTest) -> None:
    await receive(lane, *(failed(f"wamid.{n}", (131009, 131026)[n % 2]) for n in range(5)))
    assert await halted(lane) is not None


async def test_a_defect_counts_at_once_whatever_comes_after_it(lane: LaneUnderTest) -> None:
    await receive(lane, failed("wamid.1", 132015), went("wamid.2"), failed("wamid.3"))
    assert await halted(lane) == "132015 error 132015"


async def test_a_halt_of_a_person_stays(lane: LaneUnderTest) -> None:
    halt = b'{"state": "cancelled", "reason": "by hand", "acknowledged_at": 1}'
    await lane.redis.set(keys.halt(CAMPAIGN), halt)
    await receive(lane, failed("wamid.1", 132015))
    assert await lane.redis.get(keys.halt(CAMPAIGN)) == halt


async def test_answers_and_statuses_are_counted_apart(lane: LaneUnderTest) -> None:
    await lane.redis.set(keys.errors(CAMPAIGN, "answer"), 2)
    await receive(lane, failed("wamid.1"), failed("wamid.2"))
    assert await halted(lane) is None
    assert await lane.redis.get(keys.errors(CAMPAIGN, "answer")) == b"2"


async def test_what_an_older_version_has_counted(lane: LaneUnderTest) -> None:
    """It wrote a code before the number."""
    await lane.redis.set(keys.errors(CAMPAIGN, "status"), "131009 2")
    await receive(lane, failed("wamid.1", 131008))
    assert await halted(lane) is not None


# -- what it costs, and what a crash does --


async def test_without_failures_redis_is_asked_nothing_more(
    lane: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any) -> Any:
        raise AssertionError("nothing has failed")

    monkeypatch.setattr(ErrorActions, "plan", never)
    monkeypatch.setattr(ErrorActions, "count", never)
    await receive(lane, went("wamid.1"), went("wamid.2", "read"))


async def test_the_vendor_is_asked_for_only_where_it_matters(
    lane: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane.configs.clear()

    async def never(vendor_uid: str) -> None:
        raise AssertionError(vendor_uid)

    monkeypatch.setattr(lane.status_errors, "_find_config", never)
    await receive(lane, failed("wamid.1", 131026))
    assert await seen(lane) == {"recipient suppressed"}


@pytest.mark.parametrize(
    ("mode", "stops"),
    [(Mode.PHP, False), (Mode.SHADOW, False), (Mode.HELD, True), (Mode.SIDECAR, True)],
)
async def test_a_campaign_that_the_crons_send_is_not_stopped(
    lane: LaneUnderTest, mode: Mode, stops: bool
) -> None:
    """Its cron would heed that, and nobody has asked the sidecar to decide for PHP."""
    modes = Modes(webhooks=Mode.SIDECAR, campaigns=mode)
    lane.configs[VENDOR] = vendor_of().model_copy(update={"modes": modes})
    await receive(lane, failed("wamid.1", 132015))
    assert ("campaign stopped" in await seen(lane)) is stops


async def test_a_crash_between_php_and_the_record_loses_a_failure_and_counts_none_twice(
    php: Php, lane: LaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PHP says the second time that the status changes nothing."""
    applied: set[str] = set()

    def once(call: Call) -> Answer:
        given = []
        for update in call.json["updates"]:
            new = update["id"] not in applied
            applied.add(update["id"])
            campaign_uid = CAMPAIGN if new else None
            given.append({"id": update["id"], "result": "done", "campaign_uid": campaign_uid})
        return answer({"results": given})

    php.when(BATCH, once)
    commit = Commit.commit

    async def die(self: Commit) -> None:
        monkeypatch.setattr(Commit, "commit", commit)
        raise RedisUnavailable[0]("gone")

    monkeypatch.setattr(Commit, "commit", die)
    await lane.receive(failed("wamid.1"))
    with pytest.raises(RedisUnavailable):
        await lane.drain()
    await lane.drain()
    assert await seen(lane) == set()
    await receive(lane, failed("wamid.2"))
    assert await lane.redis.get(keys.errors(CAMPAIGN, "status")) == b"1"


async def test_redis_does_not_take_it(lane: LaneUnderTest) -> None:
    """The updates are settled all the same, and it is said."""
    await lane.redis.set(keys.PAUSES, "not a hash")
    with capture_logs() as logs:
        await receive(lane, failed("wamid.1", 131031), failed("wamid.2", 131026))
    assert "status_errors.lost" in [log["event"] for log in logs]
    assert await lane.waiting() == 0
    await lane.redis.delete(keys.PAUSES)
    assert await seen(lane) == {"recipient suppressed"}


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        ({"recipient_id": "491500000001"}, {"491500000001"}),
        ({"recipient_id": 491500000001}, {"491500000001"}),
        ({"recipient_id": "5511987654321"}, {"551187654321"}),  # as the other form is known
        ({"recipient_id": None, "recipient_user_id": "GB.1"}, {"GB.1"}),
        ({"recipient_id": "GB.1"}, {"GB.1"}),
        (
            {"recipient_id": "491500000001", "recipient_user_id": "GB.1"},
            {"491500000001", "GB.1"},
        ),
    ],
)
async def test_who_is_suppressed(
    lane: LaneUnderTest, facts: dict[str, Any], known: set[str]
) -> None:
    """By whatever id the next message would go to."""
    errors = [{"code": 131026, "title": "undeliverable"}]
    await receive(lane, webhook(statuses=[status("wamid.1", "failed", errors=errors, **facts)]))
    suppressed = cast("list[bytes]", await lane.redis.keys("suppressed:*"))
    found = {key.decode().rpartition(":")[2] for key in suppressed}
    assert found == known


async def test_a_number_id_that_is_a_number_of_json(lane: LaneUnderTest) -> None:
    metadata = {**METADATA, "phone_number_id": int(NUMBER)}
    errors = [{"code": 131048, "title": "spam rate limit hit"}]
    element = status("wamid.1", "failed", errors=errors, timestamp=str(int(time.time())))
    await receive(lane, webhook(statuses=[element], metadata=metadata))
    assert await seen(lane) == ACTIONS[131048] - OF_THE_MESSAGE


async def test_a_user_id_that_cannot_be_written_to_stops_no_campaign(lane: LaneUnderTest) -> None:
    facts = {"recipient_id": None, "recipient_user_id": "GB.1"}
    errors = [{"code": 131009, "title": "parameter value is not valid"}]
    for number in range(4):
        element = status(f"wamid.{number}", "failed", errors=errors, **facts)
        await receive(lane, webhook(statuses=[element]))
    assert await halted(lane) is None
