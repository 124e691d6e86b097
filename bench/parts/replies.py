"""How long a customer waits for a bot's answer on the real stack, alone and while others wait for a
slow AI. All times are the simulated Cloud API's: from the customer's message to the acceptance of
the answer."""

import time
from collections.abc import Sequence

from bench.context import Context, installed
from bench.figures import Figures
from bench.load import latencies_ms
from simulator.control import read
from simulator.conversation import KEYWORD, OTHER, Conversation
from simulator.stack.installation import StackInstallation

RATE = 80.0
PAUSE_S = 0.1
#: A customer of each kind, so that no pair limit is met.
FIRST_CUSTOMER = 491510000000


def customers(count: int, kind: int) -> list[str]:
    return [str(FIRST_CUSTOMER + kind * 1_000_000 + number) for number in range(count)]


def run(context: Context) -> Figures:
    count, thinking_count = context.size(30, 3), context.size(200, 5)
    ai_s = context.size(6.0, 2.0)
    with installed(StackInstallation) as stack:
        conversation = Conversation(stack, rate=RATE, ai_latency_s=ai_s)
        conversation.start()
        ask_bots(conversation, customers(10, 9))  # what is asked for once has been asked for
        figures = {"sidecar": ask_bots(conversation, customers(count, 0))}
        thinking = customers(thinking_count, 1)
        for sender in thinking:
            conversation.write(sender, OTHER)
        conversation.wait(lambda: _open(conversation) == thinking_count, ai_s)
        at_once = _open(conversation)
        beside = ask_bots(conversation, customers(count, 2))
        conversation.wait(
            lambda: len(conversation.latencies_ms(thinking)) == thinking_count,
            ai_s + thinking_count / RATE + 30,
        )
        took = sorted(conversation.latencies_ms(thinking))
    if len(took) < thinking_count:
        raise RuntimeError(f"the AI's answers have come to {len(took)} of {thinking_count}")
    figures["sidecar"] |= {"ai_open_at_once": at_once, "ai_max_ms": took[-1]}
    figures["sidecar beside the AI"] = beside
    return figures


def ask_bots(conversation: Conversation, senders: Sequence[str]) -> dict[str, float]:
    """Have customers ask a bot, one after the other, and return how long they have waited. Raises
    RuntimeError if one has no answer."""
    for sender in senders:
        conversation.write(sender, f"What is the {KEYWORD} of it?")
        time.sleep(PAUSE_S)
    conversation.wait(lambda: len(conversation.latencies_ms(senders)) == len(senders), 30)
    took = conversation.latencies_ms(senders)
    if len(took) < len(senders):
        raise RuntimeError(f"a bot's answer has come to {len(took)} of {len(senders)}")
    return latencies_ms(ms / 1000 for ms in took)


def _open(conversation: Conversation) -> int:
    assert conversation.ai is not None
    report = read(conversation.ai, "report")
    count: int = report["open"]
    return count
