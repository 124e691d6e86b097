"""How long a bot match takes, beside PHP's loop over the same bots and messages.

Triggers of all types, a message that matches some of them and one that matches none; then bots and
messages that are made to be slow.
"""

import gc
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

from bench.context import Context
from bench.figures import Figures
from contracts.bots import Bot, TriggerType, VendorBots
from sidecar.bots.matcher import Matcher
from tests.parity.php_loop import PhpLoop

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PER_BOT = 4
LENGTH = 1000
LONG = 64 * 1024
_KEPT = 3
#: PHP's default.
PHP_BACKTRACK_LIMIT = 1_000_000

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


def run(context: Context) -> Figures:
    count = context.size(10_000, 500)
    with PhpLoop(PHP_BACKTRACK_LIMIT) as php:
        vendor, messages = everyday(count)
        vendor = vendor.model_copy(update={"rules": php.rules})
        compile_ms, memory_mb, matcher = _compile(vendor)
        ours, theirs = {"compile_ms": compile_ms, "memory_mb": memory_mb}, {}
        for name, message in messages.items():
            ours[f"{name}_us"], theirs[f"{name}_us"] = _both(matcher, php, vendor, message)
        for name, bots, message in made_to_be_slow(count):
            bots = bots.model_copy(update={"rules": php.rules})
            took = _both(_compile(bots)[2], php, bots, message)
            ours[f"{name}_us"], theirs[f"{name}_us"] = took
    return {"sidecar": ours, "PHP's loop": theirs}


def _compile(vendor: VendorBots) -> tuple[float, float, Matcher]:
    """Return the milliseconds of compiling, by how many megabytes the process grows for a matcher
    (the mean of some, as it takes memory in pieces), and the matcher."""
    gc.collect()
    started = time.perf_counter()
    matcher = Matcher(vendor)
    took = time.perf_counter() - started
    before = _resident()
    kept = [Matcher(vendor) for _ in range(_KEPT)]
    return took * 1000, (_resident() - before) / len(kept) / 1e6, matcher


def _resident() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _both(
    matcher: Matcher, php: PhpLoop, vendor: VendorBots, message: bytes
) -> tuple[float, float]:
    """Return the microseconds of the sidecar and of PHP. Raises RuntimeError if they differ in what
    they find."""
    text = message.decode()
    at = int(NOW.timestamp())
    answer = php.match(vendor, [(message, at)])
    [expected] = answer.matches
    if (actual := matcher.match(text, NOW)) != expected:
        raise RuntimeError(f"PHP finds {expected[:3]}, the sidecar {actual[:3]}")
    return _time(matcher, text) * 1e6, answer.seconds * 1e6


def _time(matcher: Matcher, text: str) -> float:
    """Return the processor time of one match in seconds, the mean of a tenth of a second."""
    count = 0
    started = time.thread_time()
    while (took := time.thread_time() - started) < 0.1:
        matcher.match(text, NOW)
        count += 1
    return took / count
