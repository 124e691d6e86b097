"""What the Cloud API, PHP's tables and Redis say after a round."""

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import orjson
import redis

from contracts.backend import UpdateKind
from simulator import control
from simulator.backend import envelope, jsontext
from simulator.chaos.injector import Injected
from simulator.chaos.load import Work
from simulator.chaos.stage import Stage
from simulator.odd_evidence import collect_odd
from simulator.odd_outcome import OddEvidence


class Update(NamedTuple):
    """A status of a message, or a customer's message, whose status is empty."""

    wamid: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class QueueRow:
    """``due``: it may be sent now. ``changed_at`` in unix seconds, rounded down."""

    uid: str
    status: int
    due: bool
    changed_at: float
    error: str | None = None


class LogRow(NamedTuple):
    """An outgoing message in PHP's log. ``row_uid`` is the row of the queue that it comes from, or
    of a bot's reply its own: what the Cloud API was given as callback data. A ``reply`` is in the
    log before it is sent; ``changed_at`` and ``error`` are as in :class:`QueueRow`."""

    row_uid: str | None
    wamid: str | None
    status: str | None
    reply: bool = False
    changed_at: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Redis:
    """What is left there. ``waiting`` names what is in the inbox, deferred, or listed to be sent;
    ``ledgers`` are the rows in the ledgers. ``dead`` are dead letters, by wamid."""

    waiting: list[str] = field(default_factory=list)
    ledgers: dict[str, str] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)

    @property
    def empty(self) -> bool:
        return not (self.waiting or self.ledgers)


@dataclass(frozen=True, slots=True)
class Evidence:
    """``messages``, ``inbound`` and ``mishaps`` are the Cloud API's lines. ``pending`` are updates
    in PHP's own webhook table. ``differences`` are those of the accounting. ``ended``
    are parts that have ended by themselves, or badly; ``rested`` tells whether everything else has
    come to its end. ``rate`` is that of all vendors together, in messages per second. ``odd`` is
    what there is of odd payloads, ``numbers`` how many send. ``problems`` are the codes of what
    `sidecar status` says in the end; ``forwarded`` is how often each customer's message was
    forwarded, None where nothing is; ``fetching`` are messages whose media PHP still waits for."""

    seeded: list[str]
    rate: float
    injected: list[Injected]
    messages: list[dict[str, Any]]
    inbound: list[dict[str, Any]]
    mishaps: list[dict[str, Any]]
    queue: dict[str, QueueRow]
    outgoing: list[LogRow]
    incoming: list[str]
    pending: set[Update]
    redis: Redis
    differences: list[str]
    ended: list[str]
    rested: bool
    odd: OddEvidence | None = None
    numbers: int = 1
    problems: tuple[str, ...] = ()
    forwarded: Counter[str] | None = None
    fetching: tuple[str, ...] = ()


def collect(
    stage: Stage,
    work: Work,
    injected: list[Injected],
    *,
    rate: float,
    ended: list[str],
    rested: bool,
) -> Evidence:
    """Ask everybody. All parts run."""
    outgoing, incoming = log_rows(stage, work.vendor_uids)
    status = stage.status()
    return Evidence(
        seeded=work.row_uids,
        rate=rate,
        injected=injected,
        messages=stage.lines("messages"),
        inbound=stage.lines("inbound"),
        mishaps=stage.lines("mishaps"),
        queue=queue_rows(stage, work.vendor_uids),
        outgoing=outgoing,
        incoming=incoming,
        pending=pending_updates(stage, work.vendor_uids),
        redis=left_in_redis(stage),
        differences=balance_differences(status, work.vendor_uids),
        ended=ended,
        rested=rested,
        odd=_odd(stage, work),
        numbers=sum(len(vendor.phone_number_ids) for vendor in work.vendors),
        problems=tuple(problem["code"] for problem in status["problems"]),
        forwarded=forwarded(stage, set(incoming)),
        fetching=tuple(row["wamid"] for row in _rows(stage, _FETCHING, work.vendor_uids)),
    )


def forwarded(stage: Stage, wamids: set[str]) -> Counter[str]:
    """Return how often vendors' own webhooks were told of each of these messages. What comes again
    under its id counts once."""
    bodies = {
        (post["headers"]["webhook-id"], post["body"])
        for post in control.requests(stage.vendor_webhook)
    }
    return Counter(
        update.wamid
        for _, body in bodies
        for update in updates_of(orjson.loads(body))
        if not update.status and update.wamid in wamids
    )


def _odd(stage: Stage, work: Work) -> OddEvidence:
    installation = stage.installation
    cloud_api = installation.processes["cloud-api"]
    with stage.redis() as client:
        return collect_odd(installation.tables, work.vendor_uids, client, cloud_api)


# -- PHP's tables --

_OF = "vendors__id IN (SELECT _id FROM vendors WHERE _uid IN ({}))"
_QUEUE = """
SELECT _uid, status, COALESCE(scheduled_at <= UTC_TIMESTAMP(), 1) AS due,
    UNIX_TIMESTAMP(COALESCE(updated_at, created_at)) AS changed_at,
    JSON_VALUE(__data, '$.process_response.error_message') AS error
FROM whatsapp_message_queue WHERE """
_LOGS = """
SELECT is_incoming_message, JSON_VALUE(__data, '$.sidecar.queue_row_uid') AS row_uid, wamid, status,
    _uid, JSON_VALUE(__data, '$.effect.id') AS effect, UNIX_TIMESTAMP(updated_at) AS changed_at
FROM whatsapp_message_logs WHERE """

_FETCHING = """
SELECT wamid FROM whatsapp_message_logs
WHERE JSON_VALUE(__data, '$.media.state') = 'requested' AND """


def _rows(stage: Stage, sql: str, vendor_uids: Sequence[str]) -> list[dict[str, Any]]:
    of_vendors = _OF.format(", ".join("?" * len(vendor_uids)))
    return stage.installation.database.rows(sql + of_vendors + " ORDER BY _id", vendor_uids)


def queue_rows(stage: Stage, vendor_uids: Sequence[str]) -> dict[str, QueueRow]:
    """Return the vendors' rows of the queue by uid."""
    return {
        row["_uid"]: QueueRow(
            row["_uid"],
            int(row["status"]),
            bool(int(row["due"])),
            float(row["changed_at"]),
            row["error"],
        )
        for row in _rows(stage, _QUEUE, vendor_uids)
    }


def log_rows(stage: Stage, vendor_uids: Sequence[str]) -> tuple[list[LogRow], list[str]]:
    """Return the vendors' outgoing messages, and the wamids of their incoming ones."""
    rows = _rows(stage, _LOGS, vendor_uids)
    outgoing = [
        LogRow(
            row["row_uid"] or (row["_uid"] if row["effect"] else None),
            row["wamid"],
            row["status"],
            bool(row["effect"]),
            float(row["changed_at"] or 0),
        )
        for row in rows
        if not int(row["is_incoming_message"])
    ]
    return outgoing, [row["wamid"] for row in rows if int(row["is_incoming_message"])]


def pending_updates(stage: Stage, vendor_uids: Sequence[str]) -> set[Update]:
    """Return what is in the webhooks that PHP has stored and nobody has taken over."""
    rows = _rows(stage, "SELECT payload FROM whatsapp_webhook_queue WHERE ", vendor_uids)
    return {update for row in rows for update in updates_of(stored_webhook(row["payload"]))}


def stored_webhook(payload: str) -> Any:
    """Return what a webhook in PHP's table says; None if it is no JSON. A body that no JSON column
    takes stands there as a text, or in Base64."""
    webhook = jsontext.read(payload)
    if not isinstance(webhook, str):
        return webhook
    is_json = webhook.lstrip("\ufeff").startswith(("{", "["))
    try:
        return jsontext.read(webhook if is_json else base64.b64decode(webhook))
    except ValueError:  # NaN, say
        return None


def updates_of(webhook: Any) -> Iterable[Update]:
    """Yield a webhook's statuses and customers' messages."""
    for part in envelope.split(webhook) if isinstance(webhook, dict) else ():
        if part.kind is UpdateKind.STATUS:
            yield Update(str(part.element.get("id")), str(part.element.get("status")))
        elif part.kind is UpdateKind.MESSAGE:
            yield Update(str(part.element.get("id")))


# -- Redis (sidecar/redis/keys.py) --


def left_in_redis(stage: Stage) -> Redis:
    """Return what the sidecar and the workers have left, of whatever vendor."""
    with stage.redis() as client:
        return read_redis(client)


def read_redis(client: "redis.Redis") -> Redis:
    """Return the same, given a client of the sidecar's database."""
    waiting: list[str] = []
    ledgers: dict[str, str] = {}
    for key in map(_text, client.scan_iter(match="inbox:*", count=1000)):
        waiting += [key] * int(client.xlen(key))
    for lane in ("messages", "statuses"):
        name = f"deferred:{lane}"
        for order_key in map(_text, cast(list[bytes], client.zrange(name, 0, -1))):
            items = int(client.llen(f"{name}:{order_key}"))
            waiting += [f"{name}:{order_key}"] * items
    for key in map(_text, client.scan_iter(match="claims:*", count=1000)):
        waiting.append(key)
    for key in map(_text, client.scan_iter(match="effects:*", count=1000)):
        waiting += [key] * int(client.hlen(key))
    for campaign in map(_text, cast(list[bytes], client.hkeys("campaigns"))):
        waiting.append(f"campaigns {campaign}")
    for key in map(_text, client.scan_iter(match="ledger:*", count=1000)):
        states = cast(dict[bytes, bytes], client.hgetall(key))
        ledgers |= {_text(row): _text(state) for row, state in states.items()}
    letters: list[bytes] = []
    for key in map(_text, client.scan_iter(match="dead:letters:*", count=1000)):
        letters += cast(list[bytes], client.hvals(key))
    dead = {wamid for one in letters if (wamid := _wamid(one))}
    return Redis(waiting, ledgers, dead)


def _wamid(letter: bytes) -> str | None:
    """Return whose update a dead letter is; None for an effect's."""
    update = orjson.loads(letter).get("update")
    return update.get("wamid") if update else None


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def balance_differences(status: dict[str, Any], vendor_uids: Sequence[str]) -> list[str]:
    """Return what ``sidecar status --json`` says about what does not balance, in words."""
    vendors = status["accounting"]["vendors"]
    return [
        f"vendor {vendor_uid}: {name} {orjson.dumps(parts).decode()}"
        for vendor_uid in vendor_uids
        for name, parts in vendors.get(vendor_uid, {}).items()
        if isinstance(parts, dict) and parts["difference"]
    ]
