"""Messages of one request come to the same as if each had a request of its own."""

import random
import re
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from contracts.backend import UpdateResult
from contracts.effects import AiProvider, ForwardTarget
from simulator.backend.seed_bots import SeedBot
from tests.contract.caller import Caller
from tests.contract.payloads import change, echo, message, message_object
from tests.contract.test_corrections import edit, revoke
from tests.contract.under_test import Row, Vendor

BUSINESS = "99900000000"
LOGS = "whatsapp_message_logs"

#: Two of them with another form of the number, two with no number, one with a username.
PEOPLE: list[tuple[str | None, str | None]] = [
    *(("999700000001", None), ("999700000001", "GB.1"), (None, "GB.1"), ("999700000002", "GB.2")),
    *(("5511912345678", None), ("551112345678", None), (None, "GB.3"), ("999700000003", None)),
    *(("999700000004", "GB.3"), (None, "GB.2"), ("999700000002", "GB.9"), (None, None)),
]

BOTS = (
    SeedBot("welcome", None, "Welcome!"),
    SeedBot("is", "open", "At nine.\nAt ten."),
    SeedBot("stop_promotional", "stop", "Stopped."),
    SeedBot("start_promotional", "start", "Started."),
    SeedBot("stop_ai_bot", "person", "A person."),
    SeedBot("start_ai_bot", "robot", "A robot."),
    SeedBot("is", "off", "Off.", active=False),
)

#: Differ from vendor to vendor, or by the moment.
_MOMENTS = {"created_at", "updated_at", "expires_at", "answer_until", "received_at"}


class Talk:
    """What a vendor's customers say: the same for each vendor, with the same seed."""

    def __init__(self, vendor: Vendor, bots: tuple[str, ...], seed: int) -> None:
        self.vendor = vendor
        self.bots = list(zip(bots, (str(bot.trigger_type) for bot in BOTS), strict=True))
        self.random = random.Random(seed)
        self.said: list[str] = []
        self.kinds: list[Callable[[str], dict[str, Any]]] = [
            *[self._text] * 12,
            *(self._quoting, self._reaction, self._edit, self._revoke, self._echo, self._image),
            *(self._unsupported, self._again, self._elsewhere, self._to_itself, self._moves),
            *(self._change, self._group, self._unknown_number),
        ]

    def updates(self, size: int) -> list[dict[str, Any]]:
        return [self.random.choice(self.kinds)(f"wamid.{n}") for n in range(size)]

    def _message(self, wamid: str, **fields: Any) -> dict[str, Any]:
        number, user = self.random.choice(PEOPLE)
        self.said.append(wamid)
        ids = {"from_user_id": user} if user else {}
        contact: dict[str, Any] = {
            "profile": {"name": "Ada Stone", "username": f"ada{user}" if user else None}
        }
        contact |= {"wa_id": number} if number else {}
        contact |= {"user_id": user} if user else {}
        element = message_object(wamid, number, **ids, **{"timestamp": NOW, **fields})
        matches = self.random.sample(self.bots, self.random.choice((0, 0, 1, 2)))
        found = [{"bot_uid": uid, "trigger_type": kind, "trigger": kind} for uid, kind in matches]
        return message(
            self.vendor, element, contacts=[contact], bots={"matches": found}, order=f"{number}"
        )

    def _text(self, wamid: str) -> dict[str, Any]:
        return self._message(wamid, text={"body": f"Is {wamid} open?"})

    def _named(self) -> str:
        return self.random.choice([*self.said, "wamid.nobody", "WAMID.0"])

    def _quoting(self, wamid: str) -> dict[str, Any]:
        return self._message(wamid, context={"id": self._named(), "forwarded": True})

    def _reaction(self, wamid: str) -> dict[str, Any]:
        named = {"message_id": self._named(), "emoji": "\N{THUMBS UP SIGN}"}
        return self._message(wamid, type="reaction", reaction=named)

    def _edit(self, wamid: str) -> dict[str, Any]:
        return message(self.vendor, edit(wamid, self._named(), f"by {wamid}"))

    def _revoke(self, wamid: str) -> dict[str, Any]:
        return message(self.vendor, revoke(wamid, self._named()))

    def _echo(self, wamid: str) -> dict[str, Any]:
        number = self.random.choice([number for number, _ in PEOPLE if number])
        return echo(self.vendor, message_object(wamid, BUSINESS, to=number, timestamp=NOW))

    def _image(self, wamid: str) -> dict[str, Any]:
        picture = {"id": "77", "mime_type": "image/jpeg", "caption": "This?"}
        return self._message(wamid, type="image", image=picture)

    def _unsupported(self, wamid: str) -> dict[str, Any]:
        """It may come, or has come, with its content."""
        return self._message(self._named(), type="unsupported", errors=[{"code": 131051}])

    def _again(self, wamid: str) -> dict[str, Any]:
        return self._message(self._named(), text={"body": "Once more."})

    def _elsewhere(self, wamid: str) -> dict[str, Any]:
        return message(self.vendor, message_object(wamid, "999700000001"), number="1")

    def _to_itself(self, wamid: str) -> dict[str, Any]:
        return message(self.vendor, message_object(wamid, BUSINESS))

    def _moves(self, wamid: str) -> dict[str, Any]:
        system = {"type": "user_changed_number", "wa_id": self.random.choice(PEOPLE)[0]}
        return self._message(wamid, type="system", system={**system, "body": "changed"})

    def _change(self, wamid: str) -> dict[str, Any]:
        said = {"wa_id": "999700000002", "category": "marketing_messages", "value": "stop"}
        value = {"user_preferences": [{**said, "timestamp": int(NOW)}]}
        return change(self.vendor, "user_preferences", value)

    def _group(self, wamid: str) -> dict[str, Any]:
        return self._message(wamid, group_id="g")

    def _unknown_number(self, wamid: str) -> dict[str, Any]:
        return self._message(wamid, id=None)


NOW = str(int(time.time()))


async def _talk(caller: Caller, seed: int) -> Talk:
    """A vendor of whose contacts some are known, one of them twice."""
    vendor = caller.backend.seed_vendor()
    bots = caller.backend.seed_bots(vendor, *BOTS)
    caller.backend.seed_effects(
        vendor,
        ai=AiProvider(name="main", url="http://127.0.0.1:1"),
        forward=ForwardTarget(url="http://127.0.0.1:1"),
    )
    for number in ("5511912345678", "999700000003", "999700000004"):
        known = message_object(f"wamid.known.{number}", number)
        await caller.process(message(vendor, known, bots={"matches": []}))
    caller.backend.change(
        LOGS,
        {"created_at": "2020-01-01 00:00:00"},
        vendors__id=vendor.id,
        contact_wa_id="999700000003",
    )
    return Talk(vendor, bots, seed)


def _json(value: Any) -> str:
    """Return it with sorted keys: MySQL keeps JSON in an order of its own."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


class Plain:
    """Makes what is said of two vendors comparable."""

    def __init__(self, caller: Caller, vendor: Vendor) -> None:
        self.vendor = vendor
        self.names: dict[str, str] = {}
        self.contacts = caller.backend.rows("contacts", vendors__id=vendor.id)
        self.logs = caller.backend.rows(LOGS, vendors__id=vendor.id)

    def all(self, results: list[UpdateResult]) -> list[Any]:
        people = {row["_id"]: self._row(row) for row in self.contacts}
        names = {id_: self._text(_json(row)) for id_, row in people.items()}
        logs = [{**self._row(row), "contacts__id": names[row["contacts__id"]]} for row in self.logs]
        answers = [one.model_dump(exclude={"id"}) for one in results]
        said = [self._text(_json(self._timeless(one))) for one in (*answers, *logs)]
        return [*said, *sorted(names.values())]

    def _row(self, row: Row) -> Row:
        dropped = {"_id", "vendors__id"} | ({"_uid"} if "wa_id" in row else set())
        if not row.get("is_incoming_message"):
            dropped.add("messaged_at")
        kept = {name: value for name, value in row.items() if name not in dropped}
        timeless: Row = self._timeless(kept)
        return timeless

    def _timeless(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {k: self._timeless(v) for k, v in value.items() if k not in _MOMENTS}
        return [self._timeless(one) for one in value] if isinstance(value, list) else value

    def _text(self, text: str) -> str:
        def named(match: re.Match[str]) -> str:
            return self.names.setdefault(match[0], f"uid {len(self.names)}")

        text = text.replace(self.vendor.phone_number_ids[0], "the number")
        return re.sub(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", named, text)


@pytest.mark.parametrize("seed", [0, 1, 107])
async def test_many_of_all_kinds(caller: Caller, seed: int) -> None:
    together, alone = [await _talk(caller, seed) for _ in range(2)]
    results = await caller.process(*together.updates(24))
    each = [result for one in alone.updates(24) for result in await caller.process(one)]
    found = [
        Plain(caller, talk.vendor).all(some) for talk, some in ((together, results), (alone, each))
    ]
    for this, that in zip(*found, strict=True):
        assert this == that
