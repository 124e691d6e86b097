"""What a group holds, and the words that write it."""

import asyncio
import itertools

import pytest

from contracts.jobs import Lane
from sidecar.inbox.group import (
    MAX_ENTRY_BYTES,
    MAX_ENTRY_WEBHOOKS,
    MAX_GROUP_BYTES,
    MAX_GROUP_WEBHOOKS,
    WEBHOOK_BYTES,
    Group,
    InboxUnavailable,
    make_group,
)
from sidecar.inbox.partitions import drain_lease


def make(timeout_s: float = 5.0) -> Group:
    count = itertools.count()
    return make_group(timeout_s, lambda: b"uid-%d" % next(count))


async def test_the_words_of_a_group() -> None:
    group = make()
    group.add(Lane.STATUSES, "v", b"s1", b"one")
    group.add(Lane.MESSAGES, "w", b"s2", b"four")
    group.add(Lane.STATUSES, "v", b"s3", b"three")
    names, words = group.command(drain_lease)
    assert names == [
        "vendors",
        *("ready:statuses", "waiting:statuses", "lease:drain:statuses", "bell:statuses"),
        *("ready:messages", "waiting:messages", "lease:drain:messages", "bell:messages"),
        *("inbox:statuses:v", "count:v"),
        *("inbox:messages:w", "count:w"),
    ]
    assert words == [
        *(2, 2),
        *(1, "v", 2, 8 + 2 * WEBHOOK_BYTES, 1),
        *(2, "w", 1, 4 + WEBHOOK_BYTES, 1),
        *(6, b"#", b"uid-0", b"s1", b"one", b"s3", b"three"),
        *(4, b"#", b"uid-1", b"s2", b"four"),
    ]
    assert (group.lanes, group.vendors) == ([Lane.STATUSES, Lane.MESSAGES], ["v", "w"])
    assert (group.webhooks, group.size) == (3, 12)
    group.resolve()


@pytest.mark.parametrize(
    ("sizes", "entries"),
    [
        ([1] * (2 * MAX_ENTRY_WEBHOOKS + 1), [MAX_ENTRY_WEBHOOKS, MAX_ENTRY_WEBHOOKS, 1]),
        ([2 * MAX_ENTRY_BYTES], [1]),
        ([2 * MAX_ENTRY_BYTES, 1, MAX_ENTRY_BYTES - 1, 1], [1, 2, 1]),
    ],
)
async def test_an_entry_is_bounded_and_none_is_empty(sizes: list[int], entries: list[int]) -> None:
    group = make()
    for size in sizes:
        group.add(Lane.MESSAGES, "v", b"s", bytes(size))
    _, words = group.command(drain_lease)
    assert words[6] == len(entries)
    lengths, at = [], 7
    while at < len(words):
        assert isinstance(words[at], int)
        lengths.append((int(words[at]) - 2) // 2)
        at += int(words[at]) + 1
    assert lengths == entries
    group.resolve()


async def test_whether_there_is_room() -> None:
    group = make()
    assert group.has_room(MAX_GROUP_BYTES)
    assert not group.has_room(MAX_GROUP_BYTES + 1)
    group.add(Lane.MESSAGES, "v", b"s", b"x")
    assert group.has_room(MAX_GROUP_BYTES - 1)
    assert not group.has_room(MAX_GROUP_BYTES)
    for _ in range(MAX_GROUP_WEBHOOKS - 1):
        assert group.has_room(0)
        group.add(Lane.MESSAGES, "v", b"s", b"")
    assert not group.has_room(0)
    group.resolve()


async def test_the_first_end_counts() -> None:
    written, refused = make(), make()
    written.resolve()
    written.resolve("too late")
    await written.written
    refused.resolve("full")
    refused.resolve()
    with pytest.raises(InboxUnavailable, match="full"):
        await refused.written


async def test_a_group_fails_by_itself_in_time() -> None:
    with pytest.raises(InboxUnavailable, match=r"has not written it in 0\.01 s"):
        await make(0.01).written


async def test_who_leaves_does_not_end_it_for_the_others() -> None:
    group = make()

    async def wait() -> None:
        await group.written

    leaving = asyncio.create_task(wait())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    assert not group.written.done()
    group.resolve()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await wait()
