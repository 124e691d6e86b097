"""What coalesced statuses say, each with its own webhook; also after they have waited."""

import orjson

from contracts.cloud_api.people import NAMES
from tests.workers.payloads import status, webhook
from tests.workers.splitting import split
from workers.inbox.coalesce import coalesce
from workers.inbox.update import Update

SENT = orjson.dumps(status("wamid.9", "sent"))


def kept(update: Update) -> Update:
    return Update.load(update.dump())


def test_what_statuses_say_comes_with_their_own_webhooks() -> None:
    contact = {"wa_id": "99911", "user_id": "US.1"}
    sent = webhook(statuses=[status("wamid.9", "sent")], contacts=[contact])
    [low], [high] = split(sent), split(webhook(statuses=[status("wamid.9", "failed")]))
    [one] = coalesce([low, high]).updates
    facts = kept(one).facts()
    assert list(facts) == [low.fact, high.fact]
    assert [b"".join(one) for one in facts.values()] == [low.raw_payload, high.raw_payload]


def test_lower_statuses_that_an_earlier_version_has_kept_alone() -> None:
    contact = {"wa_id": "99911"}
    [one] = split(webhook(statuses=[status("wamid.9", "read")], contacts=[contact]))
    one.lower_statuses = [SENT]
    one.lower_around = [(b"", b"")]
    earlier = {name: v for name, v in orjson.loads(one.dump()).items() if "around" not in name}
    lower, own = map(b"".join, Update.load(orjson.dumps(earlier)).facts().values())
    assert orjson.loads(lower) == orjson.loads(webhook(statuses=[orjson.loads(SENT)]))
    assert orjson.loads(own) == one.payload


def test_what_is_around_thousands_of_statuses_is_kept_once() -> None:
    statuses = [status("wamid.9", "read", timestamp=str(at)) for at in range(3000)]
    [one] = coalesce(split(webhook(statuses=statuses))).updates
    assert len(one.dump()) < 3000 * (len(orjson.dumps(statuses[-1])) + 10)
    assert kept(one).facts() == one.facts()


def test_what_a_status_says_is_of_whom_and_when() -> None:
    def fact(**more: str) -> str:
        [one] = split(webhook(statuses=[status("wamid.9", "read", **more)]))
        return one.fact

    assert fact() == fact()
    of_somebody = {fact(**{name: one}) for name in NAMES["status"] for one in "12"}
    assert len({fact(), *of_somebody, fact(timestamp="1")}) == 2 + 2 * len(NAMES["status"])
