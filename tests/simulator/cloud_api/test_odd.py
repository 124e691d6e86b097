import json
from random import Random
from typing import Any

import pytest

from contracts.cloud_api.people import number_forms
from contracts.cloud_api.webhook import sign
from simulator.cloud_api.config import DEFAULT_APP_SECRET
from simulator.cloud_api.odd.catalogue import OddKind, kinds, use
from simulator.cloud_api.odd.tokens import Place, Tokens, to_bytes
from simulator.cloud_api.wamid import WamidMint
from simulator.vendor_webhook.facts import facts_of
from tests.simulator.cloud_api.helpers import Receiver, simulating

PLACE = Place("1", "15550000001", "A", ("wamid.sent",))


def tokens(seed: int = 1) -> Tokens:
    return Tokens(PLACE, WamidMint(), Random(seed), 1_795_870_000.5)


# -- names --


def test_names_are_filled_in() -> None:
    made = tokens()
    first, second, other = made.fill("@wamid1@ @wamid1@ @wamid2@").split(" ")
    assert first == second != other
    assert made.fill("@now@ @number@ @sent1@") == "1795870000 1 wamid.sent"
    assert int(made.fill("@now@")) - int(made.fill("@old@")) == 30 * 3600
    front, _, rest = made.fill("@wamid1~@").partition(".")
    assert (front, rest.swapcase()) == ("wamid", first.partition(".")[2])
    assert len(made.fill("@longwamid1@")) == 286
    assert len(made.fill("@longuser1@")) == 131
    brazil, form = made.fill("@brazil1@ @brazil1+@").split(" ")
    assert form in number_forms(brazil)
    assert form != brazil
    assert brazil in made.people
    assert first in made.marks


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="@nonsense@"):
        tokens().fill("@nonsense@")


def test_what_json_cannot_write() -> None:
    assert to_bytes('{"a": "@raw:1e+22@", "b": "x@byte:ff@"}') == b'{"a": 1e+22, "b": "x\xff"}'


# -- the catalogue --


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_kinds(kind: OddKind) -> None:
    """Every kind can be read as far as its point allows, and expects what its bodies hold."""
    found = use(kind, tokens())
    assert len(found.bodies) == len(kind.posts)
    text = b" ".join(body.plain for body in found.bodies).decode(errors="replace")
    assert "@" not in text.replace("@raw", "")
    for body in found.bodies:
        read = json.loads(body.plain.decode("utf-8-sig", "replace"), strict=False)
        assert read["object"] == "whatsapp_business_account"
        assert facts_of(json.dumps(read).encode())
    expect = found.expect
    assert set(expect["stored"] + expect["absent"]) <= set(found.marks) | {
        mark.partition(".")[0] + "." + mark.partition(".")[2].swapcase() for mark in found.marks
    }
    people = {form for one in found.people for form in number_forms(one)}
    for answer in expect["answered"]:
        assert set(answer["people"]) <= people
        assert answer["least"] <= answer["most"]
    for contact in expect["contacts"]:
        assert set(contact["people"]) <= people
    assert all(wamid in text for wamid in expect["stored"] + expect["absent"])


def test_two_uses_have_nothing_in_common() -> None:
    kind = kinds()["wamids that differ in case"]
    first, second = (use(kind, tokens(seed)) for seed in (1, 2))
    assert not set(first.marks + first.people) & set(second.marks + second.people)


# -- on demand and at random --


async def test_on_demand(receiver: Receiver) -> None:
    async with simulating(receiver.url, service_window_s=60, odd_gap_ms=1) as api:
        order: dict[str, Any] = {"kinds": ["long wamid", "user id alone"], "times": 2}
        assert (await api.control("POST", "odd", order)).json == {"uses": 4}
        await api.idle()
        lines = await api.lines("odd")
        assert [line["kind"] for line in lines] == order["kinds"] * 2
        assert [line["acknowledged"] for line in lines] == [2, 1, 2, 1]
        assert len(receiver.webhooks) == 6
        bodies = {webhook.body.decode() for webhook in receiver.webhooks}
        assert bodies == {body for line in lines for body in line["bodies"]}
        # Who has written by such a webhook may be answered.
        user = lines[1]["people"][0]
        text: Any = {"type": "text", "text": {"body": "Hi"}}
        assert (await api.send("", recipient=user, **text)).status == 200


async def test_how_bodies_are_sent(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        order = {"kinds": ["gzip", "signature in capitals", "byte order mark"]}
        await api.control("POST", "odd", order)
        await api.idle()
        gzip, capitals, mark = receiver.webhooks
        assert gzip.headers["Content-Encoding"] == "gzip"
        right = sign(DEFAULT_APP_SECRET.encode(), capitals.body)
        given = capitals.headers["X-Hub-Signature-256"]
        assert given != right
        assert given.lower() == right
        assert mark.body.startswith(b"\xef\xbb\xbf{")


async def test_what_is_not_acknowledged_comes_again(receiver: Receiver) -> None:
    receiver.answers = [500, 500]
    async with simulating(receiver.url, odd_gap_ms=1) as api:
        await api.control("POST", "odd", {"kinds": ["long wamid"]})
        await api.idle()
        [line] = await api.lines("odd")
        assert line["acknowledged"] == 2
        assert len(receiver.webhooks) == 4


async def test_what_is_about_a_message_waits_for_one(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        await api.control("POST", "odd", {"kinds": ["reaction"]})
        assert await api.lines("odd") == []
        assert not api.simulator.engine.is_idle()
        wamid = (await api.send()).wamid
        await api.idle()
        [line] = await api.lines("odd")
        assert wamid in line["bodies"][0]
        at = [webhook.body.decode() for webhook in receiver.webhooks].index(line["bodies"][0])
        assert any(webhook.updates("statuses") for webhook in receiver.webhooks[:at])


async def test_at_random(receiver: Receiver) -> None:
    async with simulating(receiver.url) as api:
        order = {"count": 100, "steps": False, "per_s": 2000}
        await api.control("POST", "odd", order)
        await api.idle()
        lines = await api.lines("odd")
        assert len(lines) == 100
        assert len({line["kind"] for line in lines}) > 20
        assert all(len(line["bodies"]) == 1 for line in lines)
        known = kinds()
        assert not any(known[line["kind"]].needs_sent for line in lines), "nothing was sent"
        assert all(known[line["kind"]].random for line in lines)


async def test_orders_are_checked() -> None:
    async with simulating() as api:
        assert (await api.control("POST", "odd", {})).status == 409
    async with simulating("http://127.0.0.1:9/") as api:
        assert (await api.control("POST", "odd", {"kinds": ["nonsense"]})).status == 400
        listed = (await api.control("GET", "odd/kinds")).json
        assert {one["kind"] for one in listed} == set(kinds())
