"""What the simulator knows, for those who compare it with what they know."""

from collections.abc import Iterator
from typing import Any

import orjson

from simulator.cloud_api.engine import Engine
from simulator.cloud_api.ledger import Ledger
from simulator.cloud_api.message import STATUS_NAMES, Message
from simulator.cloud_api.number import Number


def report(engine: Engine) -> dict[str, Any]:
    """Return the counts; costs the same however many messages there are. Times are unix ms."""
    ledger = engine.ledger
    outbox = engine.outbox
    delivery = engine.delivery
    subscriptions = engine.numbers.subscriptions()
    return {
        "idle": engine.is_idle(),
        "accepted": len(ledger.messages),
        "refused": {str(code): count for code, count in sorted(ledger.refused.items())},
        "faults": dict(engine.faults.hits),
        "outages": engine.outages.hits,
        "recipients": len(ledger.recipients),
        "sent_twice": ledger.sent_twice,
        "statuses": dict(zip(STATUS_NAMES, ledger.statuses_created, strict=True)),
        "statuses_acknowledged": dict(zip(STATUS_NAMES, ledger.statuses_acknowledged, strict=True)),
        "inbound": {
            "created": len(ledger.inbound),
            "acknowledged": ledger.inbound_acknowledged,
        },
        "webhooks": {
            "paused": delivery.paused,
            "posts": delivery.posts,
            "acknowledged": delivery.acknowledged,
            "refused": delivery.refused,
            "unanswered": delivery.unanswered,
            "retried": delivery.retried,
            "duplicates": outbox.duplicates,
            "pending": delivery.pending,
            "in_flight": sum(one.in_flight for one in subscriptions),
            "abandoned": delivery.abandoned,
            "updates_without_url": outbox.without_url,
        },
        "scheduled": len(engine.scheduler),
        "numbers": {one.phone_number_id: _number(one) for one in engine.numbers},
    }


def _number(number: Number) -> dict[str, Any]:
    throughput = number.throughput
    return {
        "limit_per_s": number.bucket.rate_per_s,
        "depth": number.bucket.depth,
        "accepted": throughput.count,
        "throttled": number.throttled,
        "first_accepted_at": _ms(throughput.first_at),
        "last_accepted_at": _ms(throughput.last_at),
        "average_per_s": throughput.average_per_s(),
        "worst_second": throughput.worst_second,
    }


def message_lines(ledger: Ledger) -> Iterator[bytes]:
    """One line of JSON for every accepted message."""
    for at in range(len(ledger.messages)):
        yield orjson.dumps(_message(ledger, ledger.messages[at])) + b"\n"


def inbound_lines(ledger: Ledger) -> Iterator[bytes]:
    """One line of JSON for every customer's message."""
    for at in range(len(ledger.inbound)):
        one = ledger.inbound[at]
        line = {
            "wamid": one.wamid,
            "from": one.customer.address,
            "phone_number_id": one.number.phone_number_id,
            "type": one.type,
            "created_at": _ms(one.created_at),
            "acknowledged": one.acknowledged,
        }
        yield orjson.dumps(line) + b"\n"


def mishap_lines(ledger: Ledger) -> Iterator[bytes]:
    """One line of JSON for every send that was refused or hit by a fault."""
    for at in range(len(ledger.mishaps)):
        one = ledger.mishaps[at]
        line = {
            "at": _ms(one.at),
            "callback_data": one.callback_data,
            "what": one.what,
            "to": one.to,
        }
        yield orjson.dumps(line) + b"\n"


def _message(ledger: Ledger, message: Message) -> dict[str, Any]:
    return {
        "wamid": message.wamid,
        "callback_data": message.callback_data,
        "to": message.to,
        "wa_id": message.wa_id,
        "user_id": message.user_id,
        "type": message.type,
        "product_policy": message.policy,
        "lite": message.lite,
        "phone_number_id": message.number.phone_number_id,
        "accepted_at": _ms(message.accepted_at),
        "statuses": {
            name: bool(message.acknowledged >> kind & 1)
            for kind, name in enumerate(STATUS_NAMES)
            if message.created >> kind & 1
        },
        "status_times": {STATUS_NAMES[kind]: at for kind, at in message.times},
        "failed_code": message.failed_code,
        "accepts": ledger.accepts[message.accept_key],
    }


def _ms(at: float | None) -> int | None:
    return None if at is None else round(at * 1000)
