"""Where something is, and what happened to it: one timeline out of Redis and PHP together."""

import re
from collections.abc import Iterable

from contracts import backend as contract
from contracts.cloud_api.people import number_forms
from contracts.find import FindAnswer, FindRequest
from contracts.jobs import Lane
from sidecar.format import many
from sidecar.inbox.status_times import read_status_times
from sidecar.ops.campaigns import read_one
from sidecar.ops.event import Event, Found, Named, Part, Source, Step, Thing
from sidecar.ops.found_in_inbox import InboxSearch
from sidecar.ops.found_in_php import read_answer
from sidecar.ops.found_in_sends import SendSearch
from sidecar.ops.wanted import Wanted
from sidecar.php.client import Backend, BackendError, BackendFailed
from sidecar.redis import keys
from sidecar.redis.client import Redis, RedisUnavailable, ResponseError, reason_of

__all__ = ["Event", "Found", "Named", "Source", "Step", "Thing", "find"]

#: Things of one kind that PHP names, and campaigns that are looked at.
LIMIT = 20
MAX_CAMPAIGNS = 3

#: Meta's ids are longer, and begin with "wamid."; other platforms' may not.
_MIN_WAMID = 16

_SEPARATORS = re.compile(r"[\s+().-]")
_PHONE = re.compile(r"[0-9]{5,20}", re.ASCII)
_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


async def find(
    redis: Redis | None, backend: Backend, query: str, vendor_uid: str | None = None
) -> Found:
    """Return what a query names (a wamid, a phone number, a message's, campaign's or vendor's uid,
    part of a title or of a contact's name), where it is, and what happened to it.

    ``redis`` None: only what PHP knows. Of a side that does not answer, ``lost`` says why. Raises
    ValueError if the query has not 2 to 300 characters.
    """
    query = query.strip()
    if not 2 <= len(query) <= 300:
        raise ValueError("a search needs 2 to 300 characters")
    answer, lost = await _ask_php(backend, query, vendor_uid)
    in_redis = Part()
    if redis is not None:
        wanted = _wanted(query, vendor_uid, answer)
        answer = await _look_into_redis(redis, wanted, answer, in_redis)
        redis = None if in_redis.lost else redis
    parts = [Part(lost=lost), read_answer(answer), in_redis]
    return Found.of(query, [*parts, await _campaigns(redis, backend, answer)])


async def _ask_php(
    backend: Backend, query: str, vendor_uid: str | None
) -> tuple[FindAnswer, list[str]]:
    request = FindRequest(query=query, vendor_uid=vendor_uid, limit=LIMIT)
    try:
        return await backend.call(contract.FIND, request, FindAnswer), []
    except BackendError as error:
        return FindAnswer(), [_why_not(error)]


def _why_not(error: BackendError) -> str:
    if isinstance(error, BackendFailed) and str(error).startswith(f"{contract.FIND} answered 404"):
        return (
            f"this is only what Redis knows: PHP has no {contract.FIND}: update the Laravel "
            "package to the sidecar's version"
        )
    return f"this is only what Redis knows: PHP call failed: {error}; sidecar check tries it"


def _wanted(query: str, vendor_uid: str | None, answer: FindAnswer) -> Wanted:
    """Return what to look for in Redis: the query itself, and what PHP says belongs to it."""
    messages, rows = answer.messages, answer.rows
    digits = _SEPARATORS.sub("", query)
    numbers = number_forms(digits) if _PHONE.fullmatch(digits) else ()
    is_uid = _UID.fullmatch(query) is not None
    uids = (query,) if is_uid else ()
    is_wamid = not (numbers or is_uid or " " in query) and (
        query.startswith("wamid.") or len(query) >= _MIN_WAMID
    )
    named = _known((*numbers, *(one.wa_id for one in answer.contacts)))
    effects = (effect.id for one in messages for effect in one.effects)
    queue_rows = (one.queue_row_uid for one in messages)
    return Wanted(
        wamids=_known((query if is_wamid else None, *(one.wamid for one in messages))),
        rows=_known((*uids, *(row.uid for row in rows), *queue_rows)),
        effects=_known((*uids, *(one.uid for one in messages), *effects)),
        numbers=named,
        recipients=_known(
            (*named, *(row.to or row.recipient for row in rows), *(one.wa_id for one in messages))
        ),
        vendor_uid=vendor_uid,
        vendors=_known(
            (
                vendor_uid,
                *(one.vendor_uid for one in answer.contacts),
                *(one.vendor_uid for one in rows),
                *(one.vendor_uid for one in messages),
            )
        ),
    )


def _known(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


async def _look_into_redis(
    redis: Redis, wanted: Wanted, answer: FindAnswer, part: Part
) -> FindAnswer:
    """Add to ``part`` what is found. Return PHP's answer with the times that Redis knows."""
    try:
        await InboxSearch(redis, wanted, part).run()
        await SendSearch(redis, wanted, part).run()
        await _vendors(redis, [one.uid for one in answer.vendors], part)
        return await _with_status_times(redis, answer)
    except (*RedisUnavailable, ResponseError) as error:
        part.lost.append(_redis_away(error))
        return answer


async def _with_status_times(redis: Redis, answer: FindAnswer) -> FindAnswer:
    """Add when statuses were set, where PHP has not kept it."""
    names = [(one.vendor_uid, one.wamid or "") for one in answer.messages]
    messages = [
        one.model_copy(update={"statuses": {**times, **one.statuses}})
        for one, times in zip(answer.messages, await read_status_times(redis, names), strict=True)
    ]
    return answer.model_copy(update={"messages": messages})


def _redis_away(error: Exception) -> str:
    return (
        f"this is only what PHP knows: Redis is unavailable: {reason_of(error)}; "
        "sidecar check tries it"
    )


async def _vendors(redis: Redis, vendor_uids: Iterable[str], part: Part) -> None:
    """Tell how much of the vendors' waits."""
    for vendor_uid in vendor_uids:
        pipeline = redis.pipeline(transaction=False)
        for lane in Lane:
            pipeline.hget(keys.waiting(lane), vendor_uid)
        pipeline.hlen(keys.dead_letters(vendor_uid))
        *waiting, letters = await pipeline.execute()
        webhooks = sum(int(count or 0) for count in waiting)
        part.where.append(
            f"vendor {vendor_uid}: {many(webhooks, 'webhook')} in the inbox, "
            f"{many(letters, 'dead letter')}"
        )


async def _campaigns(redis: Redis | None, backend: Backend, answer: FindAnswer) -> Part:
    """Return how the campaigns stand that were found, or whose rows are not sent yet."""
    part = Part()
    uids = _known(
        (
            *(one.uid for one in answer.campaigns),
            *(row.campaign_uid for row in answer.rows),
        )
    )
    for uid in uids[:MAX_CAMPAIGNS]:
        try:
            one = await read_one(redis, backend, uid)
        except BackendError as error:
            part.lost.append(f"PHP call failed: {error}; sidecar check tries it")
            break
        except (*RedisUnavailable, ResponseError) as error:
            part.lost.append(_redis_away(error))
            break
        why = f": {one.reason}" if one.reason else ""
        sent = f"; {one.sent:,} of {one.total:,} messages were sent" if one.php else ""
        part.where.append(f"campaign {uid} is {one.standing}{why}{sent}")
    if len(uids) > MAX_CAMPAIGNS:
        part.notes.append(f"{len(uids) - MAX_CAMPAIGNS} more campaigns: sidecar campaigns show UID")
    return part
