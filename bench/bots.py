"""How long a bot match takes, beside PHP's loop over the same bots and messages.

Triggers of all types, a message that matches some of them and one that matches none; then bots and
messages that are made to be slow.
"""

import gc
import random
import sys
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import click

from bench.figures import publish
from contracts.bots import Bot, TriggerType, VendorBots
from sidecar.bots.matcher import Matcher
from tests.parity.php_loop import PhpLoop

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PER_BOT = 4
LENGTH = 1000
LONG = 64 * 1024
#: PHP's default.
PHP_BACKTRACK_LIMIT = 1_000_000
#: What the issue asks for.
MAX_US, LEAST_RATIO, MAX_COMPILE_MS = 50, 100, 200

_SYLLABLES = (
    *("ab", "be", "ca", "do", "el", "fo", "gra", "hi", "in", "ka", "lo", "mi", "no", "or", "pe"),
    *("qua", "ri", "sta", "tu", "un", "ve", "wo", "zi", "ço", "ñe", "ür", "да", "не", "مر", "سل"),
)
_TYPES = tuple(kind for kind in TriggerType if kind is not TriggerType.WELCOME)


def everyday(count: int) -> tuple[VendorBots, dict[str, bytes]]:
    """Return a vendor with so many triggers of one to three words, and two messages to it."""
    draw = random.Random(1)
    words = ["".join(draw.choices(_SYLLABLES, k=draw.randint(3, 6))) for _ in range(4 * count)]
    triggers = [" ".join(draw.choices(words, k=draw.choice((1, 1, 2, 3)))) for _ in range(count)]
    kinds = [kind for kind, _ in zip(cycle(_TYPES), range(count // PER_BOT + 1), strict=False)]
    wildcards = {TriggerType.IS, TriggerType.STOP_AI_BOT}
    bots = []
    for number, start in enumerate(range(0, count, PER_BOT)):
        kind = kinds[number]
        own = triggers[start : start + PER_BOT]
        if kind in wildcards:
            own = [draw.choice((f"{text}*", f"*{text}", f"*{text}*")) for text in own]
        bots.append(Bot(bot_uid=f"bot-{number}", trigger_type=kind, reply_trigger=",".join(own)))
    contained = [
        text.strip("*")
        for bot in bots
        if bot.trigger_type in (TriggerType.CONTAINS, TriggerType.CONTAINS_WORD)
        for text in (bot.reply_trigger or "").split(",")
    ]
    others = ["".join(draw.choices(_SYLLABLES, k=3)) + "q" for _ in range(LENGTH)]
    matching = " ".join([*draw.sample(contained, 5), *others])
    return VendorBots(vendor_uid="vendor", bots=bots), {
        "matches": _cut(matching),
        "no_match": _cut("Zx" + " ".join(f"x{number}qx" for number in range(LENGTH))),
    }


def _cut(text: str) -> bytes:
    return text.encode()[:LENGTH].decode(errors="ignore").encode().ljust(LENGTH, b"x")


def made_to_be_slow(count: int) -> Iterator[tuple[str, VendorBots, bytes]]:
    """Return names, bots and messages."""
    nested = ["a" * length for length in range(1, 255)]
    yield "nested", _vendor("contains", nested), b"a" * LONG
    uneven = b"".join(b"a" * (5 + number % 40) + b"%d" % number for number in range(LONG // 28))
    yield "nested_in_an_uneven_text", _vendor("contains", nested), uneven[:LONG]
    letters = [chr(ord("a") + number % 26) * (1 + number // 26) for number in range(254)]
    yield "every_letter", _vendor("contains", letters), b"abcdefghijklmnopqrstuvwxyz" * (LONG // 26)
    words = [" ".join("a" * length) for length in range(1, 128)]
    yield "nested_words", _vendor("contains_word", words), b"a " * (LONG // 2)
    yield "words_that_are_none", _vendor("contains_word", nested), b"a" * (LONG - 1) + b"b"
    many = _vendor("is", ["*a*b*" + "a*" * 20 + "c"])
    yield "one_trigger_of_many_wildcards", many, b"a" * 2000 + b"b" * 2000 + b"c"
    pieces = b"zz" + b"".join(b"%04x" % number for number in range(LONG // 4 - 1))
    wrong = [f"*{number:04x}*zz*" for number in range(count // 10)]
    yield "wildcards_in_the_wrong_order", _vendor("is", wrong), pieces
    starts = _vendor("starts_with", [f"{'ab' * number}c" for number in range(120)])
    yield "starts_of_every_length", starts, b"ab" * (LONG // 2)


def _vendor(kind: str, triggers: list[str]) -> VendorBots:
    bots = [
        Bot(bot_uid=f"bot-{number}", trigger_type=kind, reply_trigger=trigger)
        for number, trigger in enumerate(triggers)
    ]
    return VendorBots(vendor_uid="vendor", bots=bots)


def measure(count: int, php: PhpLoop) -> dict[str, Any]:
    vendor, messages = everyday(count)
    vendor = vendor.model_copy(update={"rules": php.rules})
    compile_ms, memory_mb, matcher = _compile(vendor)
    figures: dict[str, Any] = {
        "triggers": count,
        "message_bytes": LENGTH,
        "compile_ms": round(compile_ms, 1),
        "memory_mb": memory_mb,
    }
    for name, message in messages.items():
        figures[name] = _both(matcher, php, vendor, message)
    slow = {}
    for name, bots, message in made_to_be_slow(count):
        bots = bots.model_copy(update={"rules": php.rules})
        slow[name] = {
            "message_bytes": len(message),
            **_both(_compile(bots)[2], php, bots, message, repeat=1),
        }
    figures["made_to_be_slow"] = slow
    return figures


def _compile(vendor: VendorBots) -> tuple[float, dict[str, float], Matcher]:
    """Return the milliseconds of compiling, the memory that it needs, and the matcher."""
    gc.collect()
    started = time.perf_counter()
    matcher = Matcher(vendor)
    took = time.perf_counter() - started
    return took * 1000, _memory(vendor), matcher


def _memory(vendor: VendorBots) -> dict[str, float]:
    """Return the megabytes of Python's objects, and by how much the process grows for a matcher:
    the mean of some, as it takes memory in pieces."""
    tracemalloc.start()
    matcher = Matcher(vendor)
    python, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del matcher
    before = _resident()
    kept = [Matcher(vendor) for _ in range(5)]
    return {
        "python": round(python / 1e6, 1),
        "resident": round((_resident() - before) / len(kept) / 1e6, 1),
    }


def _resident() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _both(
    matcher: Matcher, php: PhpLoop, vendor: VendorBots, message: bytes, repeat: int = 3
) -> dict[str, float | int]:
    text = message.decode()
    at = int(NOW.timestamp())
    [expected] = php.match(vendor, [(message, at)]).matches
    if (actual := matcher.match(text, NOW)) != expected:
        raise RuntimeError(f"PHP finds {expected[:3]}, the sidecar {actual[:3]}")
    ours = min(_time(matcher, text) for _ in range(repeat))
    theirs = min(php.match(vendor, [(message, at)]).seconds for _ in range(repeat))
    return {
        "matches": len(actual),
        "us": round(ours * 1e6, 1),
        "php_us": round(theirs * 1e6),
        "php_times": round(theirs / ours),
    }


def _time(matcher: Matcher, text: str) -> float:
    """Return the seconds of one match, the mean of what fits into a fifth of a second."""
    count = 0
    started = time.perf_counter()
    while (took := time.perf_counter() - started) < 0.2:
        matcher.match(text, NOW)
        count += 1
    return took / count


@click.command()
@click.option("--triggers", default=10_000, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures there.")
def main(triggers: int, json_file: Path | None) -> None:
    """Exits with 1 if it takes longer than the issue asks for."""
    with PhpLoop(PHP_BACKTRACK_LIMIT) as php:
        figures = measure(triggers, php)
    publish(figures, json_file)
    messages = (figures["matches"], figures["no_match"])
    kept = (
        all(took["us"] <= MAX_US and took["php_times"] >= LEAST_RATIO for took in messages)
        and figures["compile_ms"] <= MAX_COMPILE_MS
    )
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
