"""Redis is wiped while bots and an AI answer: every reply is sent once, or its outcome is unknown,
and none stays pending."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from simulator.control import read
from simulator.conversation import KEYWORD, OTHER, Conversation
from simulator.installation import Installation
from simulator.stack.installation import StackInstallation
from tests.stack.packages import require_stack
from tests.system.running import QUICK_CUSTOMERS
from tests.system.test_conversation import KINDS, QUICK, WORKERS, answers, statuses

CUSTOMERS = [str(491510000100 + number) for number in range(36)]
#: Every sixth asks the AI.
ASKING = CUSTOMERS[::6]
#: Slow enough that replies wait for their slots when Redis is wiped.
RATE = 4.0
WAIT_S = 60.0


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def installation(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Installation]:
    if request.param is StackInstallation:
        require_stack()
    with request.param(tmp_path) as installation:
        installation.configure(**QUICK, due_campaigns_interval_s=0.5, pending_effects_interval_s=2)
        yield installation


def talk(installation: Installation) -> Conversation:
    """Have customers write, until PHP has all of their messages and some replies are sent."""
    conversation = Conversation(installation, rate=RATE, ai_latency_s=3.0)
    conversation.start(WORKERS, QUICK_CUSTOMERS)
    for customer in CUSTOMERS:
        conversation.write(customer, OTHER if customer in ASKING else KEYWORD)
    asked = len(CUSTOMERS) - len(ASKING)
    tables = installation.tables
    assert conversation.wait(lambda: tables.counts().incoming == len(CUSTOMERS), WAIT_S)
    assert conversation.wait(lambda: statuses(conversation).total() >= asked, WAIT_S)
    assert conversation.wait(lambda: answers(conversation).total() >= 5, WAIT_S)
    return conversation


def wipe(installation: Installation) -> None:
    with redis.Redis.from_url(installation.redis_url) as client:
        client.flushall()


def assert_settled(conversation: Conversation) -> Counter[str | None]:
    """Wait until all have an answer, or its outcome is unknown. Statuses that were in the inbox are
    gone with Redis, so what was sent may have none."""

    def ended() -> bool:
        found = statuses(conversation)
        return found.total() == len(CUSTOMERS) and not found["pending"]

    assert conversation.wait(ended, WAIT_S), statuses(conversation)
    assert conversation.wait(lambda: read(conversation.cloud_api, "report")["idle"], WAIT_S)
    found = statuses(conversation)
    answered = answers(conversation)
    assert read(conversation.cloud_api, "report")["sent_twice"] == 0
    assert max(answered.values()) == 1
    assert found["failed"] == 0
    # Also of some that were sent, whose status was lost.
    assert len(CUSTOMERS) - len(answered) <= found["unknown"], "what was not sent is unknown"
    assert set(ASKING) <= set(answered), "they are asked again, and answered"
    return found


def test_redis_is_wiped_while_replies_wait(installation: Installation) -> None:
    """The worker lives on, and has the replies in hand."""
    conversation = talk(installation)
    wipe(installation)
    found = assert_settled(conversation)
    assert found["unknown"] <= 3, "those that were about to be sent at that moment"


def test_redis_is_wiped_and_the_worker_dies_with_it(installation: Installation) -> None:
    """Nobody knows any more which of the replies were sent."""
    conversation = talk(installation)
    [worker] = [name for name in installation.processes if name.startswith("worker")]
    installation.crash(worker)
    pending = statuses(conversation)["pending"]
    wipe(installation)
    installation.start(worker)
    found = assert_settled(conversation)
    assert found["unknown"] <= pending, "a status has settled the others"
