"""Customers write, and bots and an AI answer: every part a real process."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from contracts.effects import Broadcaster, ForwardTarget
from simulator.control import lines, read
from simulator.conversation import KEYWORD, OTHER, Conversation
from simulator.embedded import EmbeddedInstallation
from simulator.installation import Installation
from simulator.pusher import simulating_pusher
from simulator.stack.installation import StackInstallation
from simulator.vendor_webhook import receiving_forwards
from tests.stack.packages import require_stack, wanted
from tests.system.running import QUICK_CUSTOMERS

ANNA, BERTA = "491510000001", "491510000002"
#: One worker for all, and quick after a crash.
WORKERS = (("messages", "statuses", "effects"),)
QUICK = {"lease_ttl_ms": 1500, "reconcile_interval_s": 0.2, "backend_timeout_s": 10}
WAIT_S = 30.0

KINDS = [StackInstallation if wanted() else EmbeddedInstallation]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def installation(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Installation]:
    if request.param is StackInstallation:
        require_stack()
    with request.param(tmp_path) as installation:
        installation.configure(**QUICK)
        yield installation


def answers(conversation: Conversation) -> Counter[str]:
    """Count the messages that each customer was sent."""
    return Counter({to: len(times) for to, times in conversation.answered().items()})


def statuses(conversation: Conversation) -> Counter[str | None]:
    outgoing = conversation.installation.tables.outgoing_messages()
    return Counter(message.status for message in outgoing)


def check(installation: Installation) -> dict[str, Any]:
    """Return what ``sidecar status`` says of the accounting."""
    command = [sys.executable, "-m", "sidecar.commands.main", "status", "--json"]
    environment = {**installation.environment, "SIDECAR_PORT": "1", "PATH": "/usr/bin:/bin"}
    shown = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=30)
    assert shown.returncode in (0, 1), shown.stderr
    found: dict[str, Any] = orjson.loads(shown.stdout)["accounting"]
    return found


def nothing_waits(installation: Installation) -> bool:
    [vendor] = check(installation)["vendors"].values()
    return bool(vendor["effects"]["waiting"] == 0)


def assert_balanced(installation: Installation) -> None:
    found = check(installation)
    assert found["balanced"], found
    [vendor] = found["vendors"].values()
    assert vendor["effects"]["waiting"] == vendor["effects"]["dead"] == 0


def test_a_bot_and_an_ai_answer(installation: Installation) -> None:
    conversation = Conversation(installation, ai_latency_s=0.5)
    conversation.start(WORKERS, QUICK_CUSTOMERS)
    conversation.write(ANNA, f"What is the {KEYWORD}?")
    conversation.write(BERTA, OTHER)
    assert conversation.wait(lambda: answers(conversation) == {ANNA: 1, BERTA: 1}, WAIT_S)
    # The row that PHP has stored for each answer is its message: its statuses arrive there.
    assert conversation.wait(lambda: statuses(conversation) == {"read": 2}, WAIT_S), statuses(
        conversation
    )
    assert read(conversation.cloud_api, "report")["sent_twice"] == 0
    assert_balanced(installation)


def test_only_the_newest_question_is_answered(installation: Installation) -> None:
    conversation = Conversation(installation, ai_latency_s=2.0)
    conversation.start(WORKERS, QUICK_CUSTOMERS)
    ai = conversation.ai
    assert ai is not None
    conversation.write(ANNA, OTHER)
    assert conversation.wait(lambda: read(ai, "report")["open"] == 1, WAIT_S)
    conversation.write(ANNA, f"{OTHER}, and more")
    assert conversation.wait(lambda: read(ai, "report")["requests"] == 2, WAIT_S)
    assert conversation.wait(lambda: read(ai, "report")["open"] == 0, WAIT_S)
    assert conversation.wait(lambda: statuses(conversation) == {"read": 1}, WAIT_S)
    assert answers(conversation) == {ANNA: 1}


def test_the_worker_is_killed_while_an_ai_thinks_and_while_it_replies(
    installation: Installation,
) -> None:
    conversation = Conversation(installation, ai_latency_s=1.0)
    conversation.start(WORKERS, QUICK_CUSTOMERS)
    ai = conversation.ai
    assert ai is not None
    customers = [str(int(ANNA) + number) for number in range(12)]
    for number, customer in enumerate(customers):
        conversation.write(customer, OTHER if number % 2 else KEYWORD)
    assert conversation.wait(lambda: read(ai, "report")["open"] > 0, WAIT_S)
    [worker] = [name for name in installation.processes if name.startswith("worker")]
    installation.restart(worker)
    assert conversation.wait(lambda: read(ai, "report")["open"] > 0, WAIT_S)

    def ended() -> bool:
        found = statuses(conversation)
        return found["read"] + found["unknown"] == len(customers) and not found["pending"]

    assert conversation.wait(ended, WAIT_S), statuses(conversation)
    assert set(answers(conversation).values()) == {1}
    assert read(conversation.cloud_api, "report")["sent_twice"] == 0
    assert_balanced(installation)


async def test_updates_are_forwarded_and_broadcast(installation: Installation) -> None:
    async with receiving_forwards(secret="s3cret") as vendor, simulating_pusher() as pusher:
        conversation = Conversation(
            installation,
            forward=ForwardTarget(url=vendor.hook, secret="s3cret"),
            broadcaster=Broadcaster(
                url=pusher.url, app_id=pusher.app_id, key=pusher.key, secret=pusher.secret
            ),
        )
        vendor.faults.add("status", status=503, times=1)
        await asyncio.to_thread(conversation.start, WORKERS, QUICK_CUSTOMERS)
        await asyncio.to_thread(conversation.write, ANNA, f"What is the {KEYWORD}?")

        async def all_there() -> bool:
            entries = [entry for one in vendor.requests for entry in one.json["entry"]]
            values = [change["value"] for entry in entries for change in entry["changes"]]
            told = {status["status"] for value in values for status in value.get("statuses", [])}
            messages = [value for value in values if value.get("messages")]
            return told == {"sent", "delivered", "read"} and bool(messages and pusher.events)

        await wait_for(all_there)
        [wamid] = [line["wamid"] for line in await told(conversation, "inbound")]
        assert any(wamid.encode() in entry.body for entry in vendor.requests)
        assert vendor.refused == 0
        assert vendor.repeated == []
        await wait_for(lambda: asyncio.to_thread(nothing_waits, installation))
        await asyncio.to_thread(assert_balanced, installation)


async def told(conversation: Conversation, what: str) -> list[dict[str, Any]]:
    return await asyncio.to_thread(lines, conversation.cloud_api, what)


async def wait_for(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await condition():
            await asyncio.sleep(0.1)
