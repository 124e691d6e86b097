"""A vendor reaches nothing of another's (promise 9): whatever it has entered in its settings, posts
to its webhook or is refused by Meta, the other sends on as if it were not there.

Who is attacked is ``ALICE``; who attacks is ``MALLORY``, whose settings and webhooks name Alice's
number, account and portfolio.
"""

import time
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from contracts import backend as contract
from contracts.backend import PhoneNumber, SendError, VendorConfig, Verified
from contracts.cloud_api.errors import RULES, ErrorClass, rule_for
from contracts.jobs import Lane
from sidecar.metrics import METRICS, STATUSES_MISFIT
from sidecar.php.client import Backend
from sidecar.redis.client import Redis
from sidecar.redis.lease import Leases
from sidecar.sending.campaigns import campaign_lease
from sidecar.sending.pauses import Pauses
from tests.conftest import MakeSettings
from tests.contract.under_test import Campaign, Vendor
from tests.workers.conftest import MakeLane, MakeStage
from tests.workers.lane import LaneUnderTest
from tests.workers.payloads import account, change, envelope, status
from tests.workers.php import Php, results
from tests.workers.rows import CLAIM, have_claimed, queued
from tests.workers.sending.test_sender import Collected, Scripted
from tests.workers.simulated_time import held_lease
from tests.workers.slots import recipients
from tests.workers.stage import Stage
from workers.sending.campaign import CampaignRun
from workers.sending.cloud_api import Attempt, ErrorAnswer, NotSent
from workers.sending.error_actions import ErrorActions
from workers.sending.ledger import Ledger
from workers.sending.limiter import Grant, Limiter, NumberPaused
from workers.sending.limits import Limits
from workers.sending.send_config import SendConfig
from workers.sending.sender import Sender

NUMBER, ACCOUNT, PORTFOLIO, SECRET = "110", "waba-1", "portfolio-1", "secret-1"
RECIPIENT = "99912345"

ALICE = VendorConfig(
    vendor_uid="alice",
    access_token="good",
    app_secrets=[SECRET],
    whatsapp_business_account_id=ACCOUNT,
    portfolio_id=PORTFOLIO,
    daily_recipients=10,
    current_phone_number_id=NUMBER,
    phone_numbers=[PhoneNumber(phone_number_id=NUMBER)],
)
#: Names all that is Alice's; of her app secret, where the whole installation has one.
MALLORY = ALICE.model_copy(update={"vendor_uid": "mallory", "access_token": "bad"})


def verified(config: VendorConfig, number: str = NUMBER) -> VendorConfig:
    """Return the vendor as PHP tells of it once Meta has confirmed its number."""
    told = Verified(account_id=ACCOUNT, portfolio_id=PORTFOLIO, app_id="app-1")
    numbers = [PhoneNumber(phone_number_id=number, verified=told)]
    more = {"phone_numbers": numbers, "current_phone_number_id": number}
    return config.model_copy(update=more)


class World:
    """Vendors, and what Redis knows of what they send from."""

    def __init__(self, redis: Redis, make_settings: MakeSettings) -> None:
        self.redis = redis
        self.settings = make_settings(messages_per_second=80, campaign_error_streak=3)
        self.limiter = Limiter(redis)

    async def ask(self, config: VendorConfig, to: list[str]) -> Grant:
        """Take slots of the vendor's current number, for a campaign of its own."""
        campaign = f"campaign-of-{config.vendor_uid}"
        lease = await held_lease(self.redis, campaign)
        limits = Limits.of(config, config.current_phone_number_id or "", self.settings)
        return await self.limiter.grant(lease, campaign, limits, to)

    async def refused(self, config: VendorConfig, attempt: Attempt) -> list[str]:
        """Have a send of the vendor end so. Return why its campaign pauses, if it does."""
        campaign, outlet = f"campaign-of-{config.vendor_uid}", Collected()
        await self.ask(config, [RECIPIENT])
        row = queued(to=RECIPIENT)
        ledger = Ledger(self.redis, campaign, config.vendor_uid)
        await have_claimed(ledger, CLAIM, [row.uid])
        sender = Sender(
            Scripted(attempt),
            self.limiter,
            ledger,
            ErrorActions(self.settings, self.redis, self.limiter),
            SendConfig(self.settings, config, campaign),
            outlet,
        )
        limits = Limits.of(config, config.current_phone_number_id or "", self.settings)
        await sender.send(row, limits)
        return outlet.reasons

    async def sends_on(self, config: VendorConfig, **more: Any) -> bool:
        """Tell whether the vendor may send at once, to the recipient too that others write to."""
        try:
            grant = await self.ask(config, [RECIPIENT, *recipients(3)])
        except NumberPaused:
            return False
        return grant.count == 4 and grant.reason is None and not grant.refused


@pytest.fixture
def world(redis: Redis, make_settings: MakeSettings) -> World:
    return World(redis, make_settings)


def refusal(code: int) -> ErrorAnswer:
    return ErrorAnswer(rule_for(code, 400), SendError(code=code, message=f"error {code}"))


every_code = pytest.mark.parametrize("code", [*RULES, 250, 999_999])


# -- settings that name what is another's --


@every_code
async def test_what_is_refused_to_one_does_not_stop_another(world: World, code: int) -> None:
    """Whether PHP has verified what is Alice's, or not."""
    await world.refused(MALLORY, refusal(code))
    assert await world.sends_on(ALICE)
    assert await world.sends_on(verified(ALICE))


async def test_a_vendor_that_reaches_nobody_holds_nobody_up(world: World) -> None:
    await world.refused(MALLORY, NotSent("cannot connect"))
    assert await world.sends_on(ALICE)


@pytest.mark.parametrize("alice", [ALICE, verified(ALICE)], ids=["entered", "verified"])
async def test_slots_of_a_number_that_was_only_entered(world: World, alice: VendorConfig) -> None:
    """Each of them would keep the number for ten seconds."""
    slowest = [PhoneNumber(phone_number_id=NUMBER, messages_per_second=0.1)]
    slow = await world.ask(MALLORY.model_copy(update={"phone_numbers": slowest}), recipients(5))
    assert slow.count == 1
    assert slow.gap_s >= 10
    assert await world.sends_on(alice)


@pytest.mark.parametrize("alice", [ALICE, verified(ALICE)], ids=["entered", "verified"])
async def test_recipients_of_a_portfolio_that_was_only_entered(
    world: World, alice: VendorConfig
) -> None:
    assert (await world.ask(MALLORY, recipients(12))).count == 10
    assert (await world.ask(alice, recipients(8))).count == 8


async def test_a_pause_of_a_vendor_is_not_told_to_another(world: World) -> None:
    """Not even to one whose settings name the same account."""
    await world.refused(ALICE, refusal(131042))
    assert await world.sends_on(MALLORY)
    await world.refused(verified(ALICE), refusal(131042))
    assert await world.sends_on(MALLORY)


@pytest.mark.parametrize("id_", ["", "a/b", "1:2", "x" * 100, "\n"])
async def test_ids_that_meta_does_not_give_are_no_proof(world: World, id_: str) -> None:
    """They could be the names of others' keys."""
    odd = Verified(account_id=id_, portfolio_id=id_, app_id=id_)
    numbers = [PhoneNumber(phone_number_id=NUMBER, verified=odd)]
    mallory = MALLORY.model_copy(update={"phone_numbers": numbers})
    limits = Limits.of(mallory, NUMBER, world.settings)
    names = (limits.line, limits.account, limits.app, limits.portfolio)
    assert all(name.startswith("mallory/") for name in names), names


@pytest.mark.parametrize("number", ["alice/110", "110:of:alice", "alice/110\nmallory", "../alice"])
async def test_numbers_that_look_like_the_names_of_others(world: World, number: str) -> None:
    mallory = MALLORY.model_copy(update={"current_phone_number_id": number})
    await world.refused(mallory, refusal(131048))
    assert await world.sends_on(ALICE)
    limits = Limits.of(mallory, number, world.settings)
    assert limits.line == f"mallory/{number}"


# -- what two vendors really share --

BOB = verified(ALICE.model_copy(update={"vendor_uid": "bob"}), "111")

#: What belongs to the account or the app whoever asks, and so to Bob too, whose number is another
#: one of the same account.
OF_BOTH = {4, 368, 80007, 131031, 131042, 131064, 134011}


@every_code
async def test_only_what_is_the_accounts_own_stops_those_who_share_it(
    world: World, code: int
) -> None:
    await world.refused(verified(ALICE), refusal(code))
    assert await world.sends_on(BOB) == (code not in OF_BOTH)


async def test_it_is_said_whose_message_it_was(world: World) -> None:
    await world.refused(verified(ALICE), refusal(131042))
    with pytest.raises(NumberPaused) as told:
        await world.ask(BOB, recipients(1))
    reason = "account waba-1 is paused for all its vendors, by a message of alice: 131042"
    assert str(told.value).startswith(reason)


async def test_what_a_person_has_had_tried_again_is_so_for_all_who_share_it(world: World) -> None:
    await world.refused(verified(ALICE), refusal(131042))
    pauses = Pauses(world.redis)
    await pauses.lift(await pauses.all())
    assert await world.sends_on(verified(ALICE))
    assert await world.sends_on(BOB)


@pytest.mark.parametrize("code", [33, 190, 131005])
async def test_a_token_that_may_no_more_is_nobody_elses(world: World, code: int) -> None:
    """Also where the number is the same, and really both's."""
    bob = verified(ALICE.model_copy(update={"vendor_uid": "bob"}))
    await world.refused(verified(ALICE), refusal(code))
    assert await world.sends_on(bob)
    with pytest.raises(NumberPaused):
        await world.ask(verified(ALICE), recipients(1))


async def test_a_number_that_two_vendors_really_share_has_one_limit(world: World) -> None:
    bob = verified(ALICE.model_copy(update={"vendor_uid": "bob"}))
    first = await world.ask(verified(ALICE), recipients(10))
    second = await world.ask(bob, recipients(10))
    last = first.clock_s + first.delay_s + first.count * first.gap_s
    assert second.clock_s + second.delay_s >= last - 0.001


def test_token_errors_are_those_that_say_nothing_of_the_account() -> None:
    """A new code of the account's class stops others: think before it gets one."""
    of_account = {code for code, rule in RULES.items() if _pauses(rule.error_class, "account")}
    assert of_account == {368, 131031, 131042, 131064, 134011}
    of_token = {code for code, rule in RULES.items() if _pauses(rule.error_class, "token")}
    assert of_token == {0, 3, 10, 190, 131005}
    assert _pauses(rule_for(250, 403).error_class, "token")


def _pauses(error_class: ErrorClass, what: str) -> bool:
    return error_class.value == f"pause_{what}"


# -- webhooks that name what is another's --

OWN = MALLORY.model_copy(
    update={
        "whatsapp_business_account_id": "waba-m",
        "current_phone_number_id": "666",
        "phone_numbers": [PhoneNumber(phone_number_id="666"), PhoneNumber(phone_number_id="667")],
    }
)


def failed(code: int, *, number: str = NUMBER, account_id: str = ACCOUNT) -> bytes:
    """Return a webhook that tells of a failure, and names a number and an account."""
    errors = [{"code": code, "title": f"error {code}"}]
    seconds = str(int(time.time()))
    update = status("wamid.1", "failed", recipient_id=RECIPIENT, errors=errors, timestamp=seconds)
    metadata = {"phone_number_id": number}
    value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": [update]}
    return orjson.dumps(envelope(account(change(value), id_=account_id)))


@pytest.fixture
def lane(php: Php, make_lane: MakeLane) -> LaneUnderTest:
    """The lane of statuses, each of which changes a message of a campaign of Mallory's."""
    campaign = "campaign-of-mallory"
    php.when(contract.PROCESS_WEBHOOKS, lambda call: results(call, campaign_uid=campaign))
    lane = make_lane(Lane.STATUSES)
    lane.configs["mallory"] = OWN
    return lane


async def post(lane: LaneUnderTest, body: bytes) -> None:
    await lane.receive(body, vendor="mallory")
    await lane.drain()


@every_code
@pytest.mark.parametrize("settings", [OWN, MALLORY, None], ids=["own", "alice's", "php is away"])
async def test_a_webhook_that_names_what_is_anothers(
    world: World, lane: LaneUnderTest, settings: VendorConfig | None, code: int
) -> None:
    """Whatever the settings name, and also where PHP does not say what they name."""
    if settings is None:
        lane.configs.clear()
    else:
        lane.configs["mallory"] = settings
    await post(lane, failed(code))
    assert await world.sends_on(ALICE)
    assert await world.sends_on(verified(ALICE))


@pytest.mark.parametrize("code", [131048, 130429, 131056, 131057, 131042, 80007])
async def test_a_number_that_is_not_the_vendors_holds_nothing_and_is_counted(
    world: World, lane: LaneUnderTest, code: int
) -> None:
    before = METRICS.counter(STATUSES_MISFIT).value
    with capture_logs() as logs:
        await post(lane, failed(code))
        await post(lane, failed(code))
    assert METRICS.counter(STATUSES_MISFIT).value == before + 2
    told = [log for log in logs if log["event"] == "status.number_unknown"]
    assert [(log["vendor"], log["number"]) for log in told] == [("mallory", NUMBER)] * 2
    assert await Pauses(world.redis).all() == []
    assert await world.sends_on(OWN)


@pytest.mark.parametrize(
    ("number", "code"), [("667", 131042), ("667", 80007), ("667", 190), (NUMBER, 190)]
)
async def test_what_really_sends_is_paused_and_not_what_the_webhook_names(
    world: World, lane: LaneUnderTest, code: int, number: str
) -> None:
    """The account that PHP names, although the webhook names another."""
    await post(lane, failed(code, number=number))
    assert not await world.sends_on(OWN)
    assert await world.sends_on(ALICE)


async def test_a_status_pauses_the_number_that_it_is_of(world: World, lane: LaneUnderTest) -> None:
    await post(lane, failed(131048, number="667", account_id="waba-m"))
    assert await world.sends_on(OWN)
    assert not await world.sends_on(OWN.model_copy(update={"current_phone_number_id": "667"}))


async def test_a_recipient_of_one_vendor_is_not_anothers(world: World, lane: LaneUnderTest) -> None:
    await post(lane, failed(131026))
    suppressed = ErrorActions(world.settings, world.redis, world.limiter).suppressed
    assert await suppressed.find("alice", [RECIPIENT]) == {}
    assert list(await suppressed.find("mallory", [RECIPIENT])) == [RECIPIENT]


# -- from PHP's settings to the Cloud API and back --


async def config_of(backend: Backend, vendor: Vendor) -> VendorConfig:
    """Return what the real PHP side tells of a vendor."""
    request = contract.VendorConfigRequest(vendor_uids=[vendor.uid])
    answer = await backend.call(contract.VENDOR_CONFIG, request, contract.VendorConfigAnswer)
    return answer.vendors[0]


async def run(stage: Stage, campaign: Campaign) -> VendorConfig:
    """Send a campaign as PHP's settings say, by the Cloud API of the stage; return the settings."""
    config = await config_of(stage.backend, campaign.vendor)
    async with Leases(stage.redis, 10_000).hold(campaign_lease(campaign.uid)) as lease:
        assert lease is not None
        await CampaignRun(stage.services(), config, lease, campaign.uid).run()
    return config


def enter(stage: Stage, vendor: Vendor, victim: Vendor) -> None:
    """Have a vendor enter another's number and account in its settings."""
    number = victim.phone_number_ids[0]
    stage.embedded.set_setting(vendor, "current_phone_number_id", number)
    stage.embedded.set_setting(vendor, "whatsapp_business_account_id", victim.business_account_id)


async def test_a_campaign_with_a_bad_token_from_anothers_number(make_stage: MakeStage) -> None:
    """The real Cloud API's answer is 190."""
    stage = await make_stage(10)
    mallory = stage.embedded.seed_campaign(stage.embedded.seed_vendor(), 3)
    enter(stage, mallory.vendor, stage.vendor)
    await run(stage, mallory)
    [row] = stage.embedded.rows("campaigns", _uid=mallory.uid)
    assert row["__data"]["sidecar"]["reason"].startswith("190")
    [paused] = await Pauses(stage.redis).all()
    assert str(paused).startswith(f"the access token of vendor {mallory.vendor.uid} is paused: 190")
    rows = stage.embedded.rows("whatsapp_message_queue", campaigns__id=mallory.id)
    assert [row["status"] for row in rows] == [1, 1, 1], "they go when the token is right"
    await run(stage, stage.campaign)
    assert stage.all_accepted()


@pytest.mark.parametrize("code", [131042, 131048, 190])
async def test_a_status_of_a_message_that_really_was_sent(
    make_stage: MakeStage, make_lane: MakeLane, code: int
) -> None:
    """Mallory sends from a number of its own, and says that it was Alice's that failed."""
    mallory, alice = await make_stage(1), await make_stage(5)
    lane = make_lane(Lane.STATUSES, mallory.backend)
    lane.configs[mallory.vendor.uid] = await run(mallory, mallory.campaign)
    assert mallory.all_accepted()
    [sent] = mallory.cloud.engine.ledger.messages
    body = orjson.loads(
        failed(
            code,
            number=alice.vendor.phone_number_ids[0],
            account_id=alice.vendor.business_account_id,
        )
    )
    [update] = body["entry"][0]["changes"][0]["value"]["statuses"]
    update |= {"id": sent.wamid, "biz_opaque_callback_data": sent.callback_data}
    await lane.receive(orjson.dumps(body), vendor=mallory.vendor.uid)
    await lane.drain_when_it_may()
    assert mallory.statuses() == {}, "PHP has applied it"
    assert {one.vendor_uid for one in await Pauses(alice.redis).all()} <= {mallory.vendor.uid}
    await run(alice, alice.campaign)
    assert alice.all_accepted()
