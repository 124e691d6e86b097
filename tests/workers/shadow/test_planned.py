"""What is planned of updates: whom PHP would refuse, which bots match, what a status says new."""

from typing import Any

import orjson
import pytest

from contracts.backend import VendorConfig
from contracts.bots import Bot, VendorBots
from sidecar.bots.matcher import Matcher
from sidecar.shadow.rules import Kind, Rule
from tests.workers.payloads import METADATA, account, change, envelope, message, status, value
from workers.inbox.update import Update
from workers.shadow.planned import PlannedMessage
from workers.shadow.planning import by_wamid, plan, split_recorded
from workers.shadow.store import RecordedWebhook

Json = dict[str, Any]
NUMBER = METADATA["phone_number_id"]
CONFIG = VendorConfig(vendor_uid="v", current_phone_number_id=NUMBER)
HELLO = Bot(bot_uid="b1", trigger_type="is", reply_trigger="hello")
MATCHER = Matcher(VendorBots(vendor_uid="v", bots=[HELLO]))


def split(*bodies: Json | bytes) -> tuple[list[Update], set[str]]:
    dumped = [body if isinstance(body, bytes) else orjson.dumps(body) for body in bodies]
    return split_recorded(
        "v", [RecordedWebhook(f"{n}-0", 1, body) for n, body in enumerate(dumped)]
    )


def content(**lists: Any) -> Json:
    field = "smb_message_echoes" if "message_echoes" in lists else "messages"
    return envelope(account(change(value(**lists), field)))


def planned_of(
    *bodies: Json, config: VendorConfig = CONFIG, matcher: Matcher | None = MATCHER
) -> tuple[PlannedMessage, list[Kind]]:
    """Return what is planned of webhooks that are all about one message."""
    updates, firsts = split(*bodies)
    [(wamid, mine)] = by_wamid(updates).items()
    planned = PlannedMessage(wamid)
    return planned, list(plan(planned, mine, firsts, config, matcher))


# -- messages --


def said(**more: Any) -> Json:
    return content(messages=[message(wamid="m", **{"text": {"body": "Hello"}, **more})])


def test_a_customers_message() -> None:
    planned, opened = planned_of(said())
    assert opened == [Kind.LOG_ROW, Kind.BOTS]
    assert (planned.incoming, planned.first, planned.refused) == (True, True, None)
    assert planned.bots == [("b1", "is")]
    assert planned.text is not None
    assert planned.text[0] == 5
    assert "Hello" not in planned.dump().decode()


def test_one_that_says_nothing_to_a_bot() -> None:
    planned, opened = planned_of(said(type="reaction"))
    assert (opened, planned.bots) == ([Kind.LOG_ROW], None)


@pytest.mark.parametrize(
    ("more", "quick"),
    [
        ({"type": "button", "button": {"text": "hello"}}, True),
        ({"type": "interactive", "interactive": {"button_reply": {"title": "hello"}}}, True),
        ({"type": "interactive", "interactive": {"list_reply": {"title": "hello"}}}, False),
    ],
)
def test_buttons(more: Json, quick: bool) -> None:
    planned, _ = planned_of(said(**more))
    assert (planned.bots, planned.quick_reply) == ([("b1", "is")], quick)


@pytest.mark.parametrize(
    ("body", "config", "rule"),
    [
        (said(), VendorConfig(vendor_uid="v", active=False), Rule.VENDOR_INACTIVE),
        (said(type="request_welcome"), CONFIG, Rule.REQUEST_WELCOME),
        (said(), VendorConfig(vendor_uid="v"), Rule.PHONE_NUMBER_UNKNOWN),
        (
            content(messages=[message(wamid="m")], metadata=None),
            CONFIG,
            Rule.PHONE_NUMBER_UNKNOWN,
        ),
        (said(**{"from": None}), CONFIG, Rule.CONTACT_WITHOUT_ID),
        (said(**{"from": None, "from_user_id": "u"}), CONFIG, None),
        (said(**{"from": 15550001111}), CONFIG, None),
        (content(messages=[message()], metadata={"phone_number_id": int(NUMBER)}), CONFIG, None),
        (
            content(contacts=[{"wa_id": "1"}], messages=[{**message(wamid="m"), "from": None}]),
            CONFIG,
            None,
        ),
        (said(**{"from": METADATA["display_phone_number"]}), CONFIG, Rule.OWN_NUMBER),
        (said(type="edit"), CONFIG, Rule.CORRECTION),
        (content(message_echoes=[message(wamid="m")]), CONFIG, Rule.CONTACT_WITHOUT_ID),
        (content(message_echoes=[{**message(wamid="m"), "to": "1"}]), CONFIG, None),
    ],
)
def test_what_php_refuses(body: Json, config: VendorConfig, rule: Rule | None) -> None:
    planned, _ = planned_of(body, config=config)
    assert planned.refused is rule
    assert rule is None or planned.bots is None


def test_a_number_of_several() -> None:
    config = VendorConfig.model_validate(
        {"vendor_uid": "v", "phone_numbers": [{"phone_number_id": NUMBER}]}
    )
    assert planned_of(said(), config=config)[0].refused is None


# -- statuses --


def test_statuses_are_coalesced_as_for_php() -> None:
    bodies = [content(statuses=[status("w", name)]) for name in ("sent", "read", "delivered")]
    planned, opened = planned_of(*bodies)
    assert planned.highest == "read"
    assert [one.name for one in planned.statuses] == ["sent", "read", "delivered"]
    assert set(opened) == {Kind.STATUS, Kind.QUEUE_ROW}


@pytest.mark.parametrize(("name", "new"), [("read", False), ("sent", True)])
def test_what_a_status_says_new(name: str, new: bool) -> None:
    """One that comes late may overwrite the higher one at PHP."""
    planned, _ = planned_of(content(statuses=[status("w", "read")]))
    updates, firsts = split(content(statuses=[status("w", name)]))
    assert bool(plan(planned, updates, firsts, CONFIG, None)) is new
    assert planned.highest == "read"


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([{"code": 131049}], 131049),
        ([{"code": "131049"}], 131049),
        ([{}], None),
        (["x"], None),
        ("x", None),
        ([{"code": "x" * 3}], None),
    ],
)
def test_the_code_of_a_failure(errors: Any, code: int | None) -> None:
    planned, _ = planned_of(content(statuses=[status("w", "failed", errors=errors)]))
    assert planned.statuses[0].code == code


@pytest.mark.parametrize("code", [10**30, -(10**30), True, 10**9])
def test_a_code_that_is_none_can_be_kept(code: Any) -> None:
    """Nobody can write such an integer as JSON; the plan would be made again and again."""
    failed = content(statuses=[status("m", "failed", errors=[{"code": 77777}])])
    body = orjson.dumps(failed).replace(b"77777", str(code).lower().encode())
    updates, firsts = split(body)
    planned = PlannedMessage("m")
    list(plan(planned, updates, firsts, CONFIG, MATCHER))
    assert PlannedMessage.load(planned.dump()).statuses[0].code is None
