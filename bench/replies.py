"""How long a customer waits for a bot's answer, with and without 200 questions at a slow AI.

Every part is a real process, on the real stack with ``--stack``. All times are the simulated Cloud
API's: from the customer's message to the acceptance of the answer.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bench.figures import publish
from simulator.control import read
from simulator.conversation import KEYWORD, OTHER, Conversation
from simulator.embedded import EmbeddedInstallation
from simulator.installation import Installation
from simulator.stack.installation import StackInstallation

RATE = 80.0
PAUSE_S = 0.1
#: A customer of each kind, so that no pair limit is met.
FIRST_CUSTOMER = 491510000000


def customers(count: int, kind: int) -> list[str]:
    return [str(FIRST_CUSTOMER + kind * 1_000_000 + number) for number in range(count)]


def ask_bots(conversation: Conversation, senders: Sequence[str]) -> dict[str, Any]:
    """Have customers ask a bot, one after the other, and return how long they have waited."""
    for sender in senders:
        conversation.write(sender, f"What is the {KEYWORD} of it?")
        time.sleep(PAUSE_S)
    conversation.wait(lambda: len(conversation.latencies_ms(senders)) == len(senders), 30)
    took = sorted(conversation.latencies_ms(senders))
    return {
        "answered": len(took),
        "asked": len(senders),
        "p50_ms": statistics.median(took),
        "p95_ms": took[int(len(took) * 0.95)],
        "p99_ms": took[int(len(took) * 0.99)],
        "max_ms": took[-1],
    }


def measure(installation: Installation, count: int, ai_count: int, ai_s: float) -> dict[str, Any]:
    conversation = Conversation(installation, rate=RATE, ai_latency_s=ai_s)
    conversation.start()
    ask_bots(conversation, customers(10, 9))  # what is asked for once has been asked for
    figures: dict[str, Any] = {"bots": ask_bots(conversation, customers(count, 0))}
    thinking = customers(ai_count, 1)
    started = time.monotonic()
    for sender in thinking:
        conversation.write(sender, OTHER)
    assert conversation.ai is not None
    conversation.wait(lambda: _open(conversation) == ai_count, ai_s)
    before = sum(installation.backend_requests().values())
    time.sleep(min(5.0, ai_s / 6))
    idle = sum(installation.backend_requests().values()) - before
    figures["ai"] = {
        "open_at_once": _open(conversation),
        "requests_to_php_while_they_wait": idle,
        "bots_meanwhile": ask_bots(conversation, customers(count, 2)),
        "still_open_then": _open(conversation),
    }
    conversation.wait(
        lambda: len(conversation.latencies_ms(thinking)) == ai_count, ai_s + ai_count / RATE + 30
    )
    took = sorted(conversation.latencies_ms(thinking))
    figures["ai"] |= {
        "answered": len(took),
        "asked": ai_count,
        "p50_ms": statistics.median(took) if took else None,
        "max_ms": took[-1] if took else None,
        "seconds": round(time.monotonic() - started, 1),
    }
    return figures


def _open(conversation: Conversation) -> int:
    assert conversation.ai is not None
    report = read(conversation.ai, "report")
    count: int = report["open"]
    return count


@click.command()
@click.option("--stack", is_flag=True, help="On nginx, PHP-FPM, Laravel, MariaDB and Redis.")
@click.option("--count", default=100, show_default=True, help="Customers who ask a bot.")
@click.option("--ai-count", default=200, show_default=True, help="Customers who ask the AI.")
@click.option("--ai-seconds", default=30.0, show_default=True, help="How long the AI takes.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures.")
def main(stack: bool, count: int, ai_count: int, ai_seconds: float, json_file: Path | None) -> None:
    """Measure how long customers wait for bots' and an AI's answers."""
    kind = StackInstallation if stack else EmbeddedInstallation
    with tempfile.TemporaryDirectory() as folder, kind(Path(folder)) as installation:
        figures = measure(installation, count, ai_count, ai_seconds)
    publish(figures, json_file)
    complete = all(f["answered"] == f["asked"] for f in (figures["bots"], figures["ai"]))
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
