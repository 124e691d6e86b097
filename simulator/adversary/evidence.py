"""What there is to see after a round, when nothing moves any more."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson
import redis

from simulator.adversary.cast import Cast
from simulator.adversary.flood import Posted
from simulator.adversary.stage import AdversaryStage, Stopped
from simulator.chaos.evidence import (
    Evidence,
    Redis,
    Update,
    balance_differences,
    log_rows,
    queue_rows,
)

#: Keys that only remember messages, and hold none.
_MEMORIES = ("dedup:", "nonce:", "effect", "count:", "metrics", "process", "config:")
_WAMID = re.compile(rb"wamid\.[A-Za-z0-9+/=]+")
#: In place of what `sidecar status` says, where it fails.
NO_STATUS: dict[str, Any] = {
    "problems": [],
    "lanes": {},
    "paused": [],
    "campaigns": [],
    "accounting": {"vendors": {}, "dead_letters_difference": 0},
}
_ERROR = re.compile(rb'"level": ?"(?:error|critical)"')
_PATH = re.compile(r"/(?:whatsapp-)?webhook/([^/]+)")
#: Only the part of a webhook log line that tells that the sidecar, and nobody else, has answered.
_BY_SIDECAR = "200"


@dataclass(frozen=True, slots=True)
class Left:
    """Wamids that stand in Redis: in the inbox and among what is tried again, or in dead letters.
    ``keys`` are the names of all keys."""

    waiting: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Webhooks:
    """One vendor's webhooks, as nginx has logged them. ``acknowledged`` are those that the sidecar
    has answered with 200; ``others`` say what else became of one."""

    acknowledged: int = 0
    others: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Siege:
    """What the attack has done. ``waits`` are how long the victim's customers waited for their row,
    in seconds. ``received`` are webhooks that the sidecar has counted, by vendor. ``lost`` are
    attackers' messages that were acknowledged and are nowhere, ``sent_twice`` those that went out
    more than once. ``peaks`` are the processes' resident memory, at most; ``redis_bytes`` is what
    Redis has used more than at the start, for ``bytes_in`` of webhooks. ``restrained`` says what
    holds the victim's sends up. ``unnamed`` are vendors that PHP failed on, and ``sidecar status``
    named none of it; ``blind`` says how that failed. ``deaths``: drains that did not come to
    their end. ``errors`` is what was logged as such, for those who look."""

    waits: list[float]
    webhooks: dict[str, Webhooks]
    received: dict[str, int]
    lost: list[str]
    sent_twice: list[str]
    peaks: dict[str, int]
    redis_bytes: int
    bytes_in: int
    out_of_memory: int
    restrained: list[str]
    unnamed: list[str]
    deaths: int
    stopped: dict[str, Stopped]
    blind: list[str]
    logging_errors: int
    errors: dict[str, int]


# -- nginx --


def webhooks_in(log: Iterable[bytes]) -> dict[str, Webhooks]:
    """Return the vendors' webhooks by uid, given lines of nginx's access log."""
    acknowledged: Counter[str] = Counter()
    others: dict[str, list[str]] = {}
    for text in log:
        line = orjson.loads(text)
        found = _PATH.match(line["path"])
        if found is None or line["method"] != "POST":
            continue
        if line["status"] == 200 and line["upstream_status"] == _BY_SIDECAR:
            acknowledged[found[1]] += 1
        else:
            what = f"{line['status']}, upstream {line['upstream_status'] or 'none'}"
            others.setdefault(found[1], []).append(f"{what} after {line['seconds']} s")
    uids = acknowledged.keys() | others.keys()
    return {uid: Webhooks(acknowledged[uid], others.get(uid, [])) for uid in uids}


def errors_in(logs: Iterable[bytes]) -> dict[str, int]:
    """Return how often the sidecar and the workers have logged each event as an error. Lines that
    are no JSON are exceptions that nobody has caught."""
    found: Counter[str] = Counter()
    for text in logs:
        for line in text.splitlines():
            if _ERROR.search(line):
                found[_event(line)] += 1
            elif line.startswith(b"Traceback"):
                found["Traceback"] += 1
    return dict(found)


def _event(line: bytes) -> str:
    try:
        logged = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "no JSON"
    return str(logged.get("event"))


# -- Redis --


def left_in(client: "redis.Redis") -> Left:
    """Return which messages Redis holds, in whatever form."""
    waiting: set[str] = set()
    dead: set[str] = set()
    keys = [key.decode(errors="replace") for key in client.scan_iter(count=5000)]
    for key in keys:
        if not key.startswith(_MEMORIES):
            found = wamids_in(_values(client, key))
            (dead if key.startswith("dead") else waiting).update(found)
    return Left(frozenset(waiting), frozenset(dead), tuple(keys))


def _values(client: "redis.Redis", key: str) -> Iterable[bytes]:
    kind = cast(bytes, client.type(key))
    if kind == b"stream":
        for _, fields in cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(key)):
            yield from fields.values()
    elif kind == b"list":
        yield from cast("list[bytes]", client.lrange(key, 0, -1))
    elif kind == b"hash":
        for name, value in cast("dict[bytes, bytes]", client.hgetall(key)).items():
            yield from (name, value)
    elif kind == b"string":
        yield cast("bytes | None", client.get(key)) or b""
    elif kind == b"zset":
        yield from cast("list[bytes]", client.zrange(key, 0, -1))


def wamids_in(texts: Iterable[bytes]) -> set[str]:
    """Return the wamids that stand in these bytes."""
    return {
        found.decode() for text in texts for found in _WAMID.findall(text.replace(b"\\/", b"/"))
    }


# -- together --


def lost(posted: Sequence[Posted], found: set[str]) -> list[str]:
    """Return messages that were acknowledged, but are not among those that were found."""
    wamids = [wamid for one in posted if one.acknowledged for wamid in one.post.wamids]
    return [wamid for wamid in wamids if wamid not in found]


def unnamed(status: dict[str, Any], vendor_uids: Iterable[str]) -> list[str]:
    """Return the vendors of whom ``sidecar status --json`` does not say that something is wrong,
    neither among the problems nor where it says what waits, though by its own accounting updates of
    theirs are tried again or were given up."""
    said = orjson.dumps([status["problems"], status["lanes"], status.get("php")]).decode()
    accounting = status["accounting"]["vendors"]
    return [uid for uid in vendor_uids if uid not in said and _has_failures(accounting.get(uid))]


def _has_failures(accounting: dict[str, Any] | None) -> bool:
    return accounting is not None and bool(
        accounting["updates"]["waiting"] or accounting["updates"]["dead"]
    )


def deaths(status: dict[str, Any]) -> int:
    """Return how many drains have not come to their end."""
    return sum(int(lane["waiting_because"].get("deaths", 0)) for lane in status["lanes"].values())


def restrained(status: dict[str, Any], left: Left, names: Sequence[str]) -> list[str]:
    """Return what keeps a vendor from sending, given all names of what is its own."""
    paused = [orjson.dumps(one).decode() for one in status["paused"]]
    halted = [
        orjson.dumps(one).decode() for one in status["campaigns"] if one["state"] != "running"
    ]
    holds = [key for key in left.keys if key.startswith(("hold:", "halt:"))]
    return [one for one in (*paused, *halted, *holds) if any(name in one for name in names)]


def waits(inbound: Iterable[dict[str, Any]], seen_at: dict[str, float], now: float) -> list[float]:
    """Return how long each customer has waited since writing, or waits still."""
    return sorted(
        max(0.0, seen_at.get(one["wamid"], now) - one["created_at"] / 1000) for one in inbound
    )


def peak_bytes(pid: int) -> int:
    """Return the most resident memory that a process has had; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def of_victim(
    stage: AdversaryStage,
    who: Cast,
    left: Left,
    status: dict[str, Any],
    *,
    ended: list[str],
    rested: bool,
) -> Evidence:
    """Return what chaos asks of a round: all that is the victim's, and everybody's accounting."""
    victim = who.victim
    number = victim.phone_number_ids[0]
    outgoing, incoming = log_rows(stage, [victim.uid])
    messages = [m for m in stage.lines("messages") if m["phone_number_id"] == number]
    inbound = [m for m in stage.lines("inbound") if m["phone_number_id"] == number]
    waiting = {Update(m["wamid"]) for m in inbound} | {
        Update(m["wamid"], name) for m in messages for name in m["statuses"]
    }
    # What came to rest is repeated by Meta now and then, and by those who meddle.
    pending = set() if rested else {one for one in waiting if one.wamid in left.waiting}
    return Evidence(
        seeded=list(who.campaign.row_uids),
        rate=0.0,
        injected=[],
        messages=messages,
        inbound=inbound,
        mishaps=[],
        queue=queue_rows(stage, [victim.uid]),
        outgoing=outgoing,
        incoming=incoming,
        pending=pending,
        redis=Redis(dead=set(left.dead)),
        differences=balance_differences(status, list(status["accounting"]["vendors"])),
        ended=ended,
        rested=rested,
    )
