"""What an attacker may do. Each shape is bounded in requests, bytes and time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from simulator.adversary.payloads import RAW, Pen, Post
from simulator.cloud_api.garbage import GARBAGE

#: Posts go out within this time.
ATTACK_S = 4.0

#: What nginx and the sidecar let through is 4 MiB.
_MAX_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """``posts`` writes the webhooks. ``failing``: PHP fails on them, so ``sidecar status`` must
    name the vendor. ``campaign`` messages are sent for it; ``garbage`` is how the Cloud API answers
    them. ``forward``: a fault of the vendor's own webhook. ``foreign_account``: it calls the
    victim's account its own, and has no token that is good. ``frames``: its failed messages name
    the victim's number and account. ``meddles``: it posts statuses of the victim's messages.
    ``slow_clients`` connections are opened that never come to their end."""

    posts: Callable[[Pen], list[Post]] = lambda _pen: []
    failing: bool = False
    campaign: int = 0
    garbage: bool = False
    forward: dict[str, Any] | None = None
    foreign_account: bool = False
    frames: bool = False
    meddles: bool = False
    slow_clients: int = 0


def _spread(count: int) -> list[float]:
    return [ATTACK_S * position / count for position in range(count)]


# -- PHP fails --


def _php(answers: str, messages: int, at_once: int) -> Callable[[Pen], list[Post]]:
    """Write messages that the reference application answers so (FaultListener.php)."""

    def posts(pen: Pen) -> list[Post]:
        text = f"php answers {answers}"
        return [
            pen.post(at_s, [pen.message(text) for _ in range(at_once)])
            for at_s in _spread(messages // at_once)
        ]

    return posts


# -- large and many --


def _one_sender(pen: Pen) -> list[Post]:
    messages = [{"id": pen.wamid(), "from": "16660000001", "type": "text"} for _ in range(1000)]
    return [pen.post(0.0, messages)]


def _empty_statuses(pen: Pen) -> list[Post]:
    return [pen.post(0.0, statuses=[{"x": RAW}], raw=b"0}," + b"{}," * 200_000 + b'{"x":0')]


def _tiny_elements(pen: Pen) -> list[Post]:
    element = pen.rng.choice((b"0", b"{}", b"[]", b'""', b"null"))
    many = b"[" + b",".join([element] * (_MAX_BYTES // (len(element) + 1))) + b"]"
    where = pen.rng.choice(("messages", "statuses", "entry", "changes", "contacts", "errors"))
    if where == "entry":
        return [pen.signed(0.0, b'{"object":"whatsapp_business_account","entry":%s}' % many)]
    if where == "changes":
        return [pen.signed(0.0, b'{"entry":[{"id":"1","changes":%s}]}' % many)]
    if where == "messages":
        return [pen.post(0.0, RAW, raw=many)]
    if where == "statuses":
        return [pen.post(0.0, statuses=RAW, raw=many)]
    more: dict[str, Any] = {where: RAW}
    return [pen.post(0.0, [pen.message()], raw=many, **more)]


def _empty_changes(pen: Pen) -> list[Post]:
    many = b",".join([b"{}"] * (_MAX_BYTES // 3))
    return [pen.signed(0.0, b'{"entry":[{"id":"1","changes":[%s]}]}' % many)]


def _nested_lists(pen: Pen) -> list[Post]:
    depth = _MAX_BYTES // 2
    closed = b"]" * depth if pen.rng.random() < 0.5 else b""
    where = pen.rng.choice(("text", "message", "value", "body"))
    nested = b"[" * depth + closed
    if where == "body":
        return [pen.signed(0.0, nested)]
    if where == "value":
        return [pen.post(0.0, [pen.message()], deep=RAW, raw=nested)]
    if where == "text":
        return [pen.post(0.0, [pen.message(text=RAW)], raw=nested)]
    return [pen.post(0.0, [pen.message(deep=RAW)], raw=nested)]


def _huge_string(pen: Pen) -> list[Post]:
    return [pen.post(0.0, [pen.message("x" * (_MAX_BYTES - 1000))])]


def _wide_envelope(pen: Pen) -> list[Post]:
    messages = [pen.message(str(n)) for n in range(1000)]
    return [pen.post(0.0, messages, padding="x" * 1_500_000)]


def _contacts(pen: Pen) -> list[Post]:
    statuses = [pen.status() for _ in range(500)]
    contacts = [
        {"wa_id": status["recipient_id"], "profile": {"name": "x" * 200}} for status in statuses
    ]
    return [pen.post(0.0, statuses=statuses, contacts=contacts)]


def _many_small(pen: Pen) -> list[Post]:
    return [pen.post(at_s, [pen.message()]) for at_s in _spread(400)]


def _many_statuses(pen: Pen) -> list[Post]:
    """Of messages that nobody has sent: PHP looks for each, for a while."""
    return [pen.post(at_s, statuses=[pen.status() for _ in range(250)]) for at_s in _spread(20)]


# -- odd --

_ODD = (
    b'"\\ud800"',
    b'"\\udfff\\ud800"',
    b'"\\u0000"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b"9" * 4000,
    b"-" + b"9" * 30,
    b"18446744073709551616",
    b"1e400",
    b"-0",
    b"0.1e-9999",
    b"NaN",
    b"[[[[]]]]",
    b'"' + b"[" * 600 + b'"',
    b'{"":{"":null}}',
    b'{"a":1,"a":2}',
    b"true",
    b"null",
)


def _odd_values(pen: Pen) -> list[Post]:
    """Put each where ids, times and texts stand, and where a message or a status does."""
    found = []
    for at_s, odd in zip(_spread(4 * len(_ODD)), _ODD * 4, strict=True):
        if pen.rng.random() < 0.25:
            where = pen.rng.choice(("messages", "message_echoes", "statuses", "contacts"))
            found.append(pen.post(at_s, raw=b"[%s]" % odd, **{where: RAW}))
            continue
        field = pen.rng.choice(("id", "from", "timestamp", "type", "text", "context", "status"))
        if pen.rng.random() < 0.6:
            found.append(pen.post(at_s, [{**pen.message(), field: RAW}], raw=odd))
        else:
            found.append(pen.post(at_s, statuses=[{**pen.status(), field: RAW}], raw=odd))
    return found


def _mutations(pen: Pen) -> list[Post]:
    found = []
    for at_s in _spread(150):
        good = pen.post(at_s, [pen.message() for _ in range(3)], [pen.status() for _ in range(3)])
        body = good.body
        for _ in range(pen.rng.randint(1, 4)):
            body = pen.rng.choice(_CHANGES)(pen.rng, body)
        found.append(pen.signed(at_s, body))
    return found


def _flip(rng: Random, body: bytes) -> bytes:
    at = rng.randrange(len(body) or 1)
    return body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]


def _cut(rng: Random, body: bytes) -> bytes:
    at = rng.randrange(len(body) or 1)
    return body[:at] + body[at + rng.randint(1, 20) :]


def _double(rng: Random, body: bytes) -> bytes:
    at = rng.randrange(len(body) or 1)
    return body[:at] + body[at : at + 40] * rng.randint(2, 30) + body[at + 40 :]


def _swap_value(rng: Random, body: bytes) -> bytes:
    parts = body.split(b":")
    parts[rng.randrange(len(parts))] = rng.choice(_ODD)
    return b":".join(parts)


def _swap_name(rng: Random, body: bytes) -> bytes:
    names = (b"messages", b"statuses", b"entry", b"changes", b"value", b"id", b"metadata", b"from")
    return body.replace(rng.choice(names), rng.choice(names))


_CHANGES = (_flip, _cut, _double, _swap_value, _swap_name)


def _strangers(pen: Pen) -> list[Post]:
    """Vendors that there are not, and signatures that nobody has made."""
    found = []
    for at_s in _spread(200):
        post = pen.post(at_s, [pen.message()])
        uid = f"{pen.rng.getrandbits(128):032x}"
        found.append(replace(post, vendor_uid=uid, signature=f"sha256={uid}{uid}", wamids=()))
    return found


_FORWARDED = 100


def _forwarded(pen: Pen) -> list[Post]:
    return [pen.post(at_s, [pen.message() for _ in range(5)]) for at_s in _spread(_FORWARDED // 5)]


SHAPES: dict[str, Shape] = {
    "php_500": Shape(_php("500", 600, 20), failing=True),
    "php_400": Shape(_php("400", 100, 4), failing=True),
    "one_sender": Shape(_one_sender),
    "empty_statuses": Shape(_empty_statuses),
    "tiny_elements": Shape(_tiny_elements),
    "frames": Shape(campaign=10, frames=True),
    "nested_lists": Shape(_nested_lists),
    "wide_envelope": Shape(_wide_envelope),
    "php_late": Shape(_php("late", 12, 4), failing=True),
    "slow_clients": Shape(slow_clients=30),
    "cloud_api_garbage": Shape(campaign=40, garbage=True),
    "php_garbage": Shape(_php("garbage", 60, 5), failing=True),
    "mutations": Shape(_mutations),
    "huge_string": Shape(_huge_string),
    "foreign_account": Shape(campaign=10, foreign_account=True),
    "strangers": Shape(_strangers),
    "forward_404": Shape(_forwarded, forward={"kind": "status", "status": 404}),
    "odd_values": Shape(_odd_values),
    "php_never": Shape(_php("never", 40, 5), failing=True),
    "contacts": Shape(_contacts),
    "meddles": Shape(meddles=True),
    "many_small": Shape(_many_small),
    "php_error": Shape(_php("error", 200, 10), failing=True),
    "many_statuses": Shape(_many_statuses),
    "forward_hang": Shape(_forwarded, forward={"kind": "hang", "seconds": 60}),
    "empty_changes": Shape(_empty_changes),
    "php_nothing": Shape(_php("nothing", 60, 5), failing=True),
}

#: How the Cloud API may answer an attacker.
GARBAGES = tuple(GARBAGE)
