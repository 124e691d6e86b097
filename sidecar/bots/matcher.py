"""Which of a vendor's bots answer a message.

The rules are those of contracts/laravel/src/Bots/LoopMatcher.php, which tries every trigger of
every bot; tests/parity compares the two.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from contracts.bots import BotMatch, TriggerType, VendorBots
from contracts.sidecar_api import ContactFacts
from sidecar.bots.hours import OpeningHours
from sidecar.bots.literals import LiteralSearch
from sidecar.bots.php_numbers import PhpNumber
from sidecar.bots.prefixes import Prefixes
from sidecar.bots.wildcards import Wildcard, Wildcards
from sidecar.bots.words import WordMarks, WordSearch

#: What PHP's ``trim`` removes.
_BLANKS = b" \t\n\r\0\x0b"


#: Longer texts are matched in a thread: with triggers made for it, one may take milliseconds.
#: Cloud API: a text message has up to 4,096 characters.
LONGEST = 8192


class Matcher:
    """A vendor's bots, compiled once.

    Every trigger has a slot, numbered in the order of the bots and of their triggers: a bot's
    lowest matching slot is its first matching trigger, and slots sort like the bots.
    """

    def __init__(self, vendor: VendorBots) -> None:
        self._hours = OpeningHours(vendor.hours, vendor.vendor_uid)
        self._matches: list[tuple[str, str, str | None]] = []
        #: Which bot each slot belongs to, by its place.
        self._bots: list[int] = []
        self._welcome: list[int] = []
        self._whole: dict[bytes, list[int]] = {}
        self._numbers: dict[float, list[tuple[PhpNumber, int]]] = {}
        self._starts: dict[bytes, list[int]] = {}
        #: By the reversed trigger.
        self._ends: dict[bytes, list[int]] = {}
        self._contained: dict[bytes, list[int]] = {}
        self._words: dict[bytes, list[int]] = {}
        wildcards: list[Wildcard] = []
        for place, bot in enumerate(vendor.bots):
            if not bot.active:
                continue
            if bot.trigger_type == TriggerType.WELCOME:
                self._welcome.append(self._slot(place, bot.bot_uid, bot.trigger_type, None))
                continue
            for trigger in _triggers(bot.reply_trigger or ""):
                slot = self._slot(place, bot.bot_uid, bot.trigger_type, trigger.decode())
                match bot.trigger_type:
                    case TriggerType.STARTS_WITH:
                        self._starts.setdefault(trigger, []).append(slot)
                    case TriggerType.ENDS_WITH:
                        self._ends.setdefault(trigger[::-1], []).append(slot)
                    case TriggerType.CONTAINS:
                        self._contained.setdefault(trigger, []).append(slot)
                    case TriggerType.CONTAINS_WORD:
                        self._words.setdefault(trigger, []).append(slot)
                    case (
                        TriggerType.IS
                        | TriggerType.START_PROMOTIONAL
                        | TriggerType.STOP_PROMOTIONAL
                        | TriggerType.START_AI_BOT
                        | TriggerType.STOP_AI_BOT
                    ):
                        if b"*" in trigger:
                            wildcards.append(Wildcard.parse(slot, trigger))
                        else:
                            self._whole.setdefault(trigger, []).append(slot)
                            if vendor.rules.numbers_by_value:
                                self._add_number(trigger, slot)
        self._prefixes = Prefixes(self._starts)
        self._suffixes = Prefixes(self._ends)
        self._wildcards = Wildcards(wildcards, vendor.rules.wildcard_spans_lines)
        self._contained_search = LiteralSearch(
            self._contained.keys() | self._words.keys() | self._wildcards.middles
        )
        marks = WordMarks(vendor.rules.marks_are_letters)
        self._word_search = WordSearch(self._words, marks)

    def match(self, text: str | bytes, at: datetime) -> list[BotMatch]:
        """Return every bot that matches a message, by priority, each with its first matching
        trigger. Welcome bots are always among them, see :func:`admitted`.

        ``at``: an aware time, for the bot hours.
        """
        if isinstance(text, str):
            # What is no Unicode becomes what is no UTF-8, as which PHP has it.
            text = text.encode(errors="surrogatepass")
        closed = self._hours.closed(at)
        matches = []
        last = -1
        for slot in sorted(self._slots(text.strip(_BLANKS).lower())):
            bot = self._bots[slot]
            bot_uid, trigger_type, trigger = self._matches[slot]
            if bot != last and trigger_type not in closed:
                last = bot
                matches.append(
                    BotMatch(bot_uid=bot_uid, trigger_type=trigger_type, trigger=trigger)
                )
        return matches

    def _slots(self, text: bytes) -> Iterator[int]:
        yield from self._welcome
        yield from self._whole.get(text, ())
        if self._numbers:
            yield from self._equal_numbers(text)
        for prefix in self._prefixes.of(text):
            yield from self._starts[prefix]
        for suffix in self._suffixes.of(text[::-1]):
            yield from self._ends[suffix]
        contained = self._contained_search.find(text)
        for literal in self._contained.keys() & contained:
            yield from self._contained[literal]
        if _is_utf8(text):
            yield from self._wildcards.find(text, contained)
            for word in self._word_search.find(text, self._words.keys() & contained):
                yield from self._words[word]

    def _equal_numbers(self, text: bytes) -> Iterator[int]:
        number = PhpNumber.parse(text)
        if number is not None:
            for other, slot in self._numbers.get(number.value, ()):
                if number.equals(other):
                    yield slot

    def _slot(self, place: int, bot_uid: str, trigger_type: str, trigger: str | None) -> int:
        self._matches.append((bot_uid, trigger_type, trigger))
        self._bots.append(place)
        return len(self._bots) - 1

    def _add_number(self, trigger: bytes, slot: int) -> None:
        number = PhpNumber.parse(trigger)
        if number is not None:
            self._numbers.setdefault(number.value, []).append((number, slot))


def admitted(matches: Iterable[BotMatch], facts: ContactFacts) -> list[BotMatch]:
    """Return the matches that may answer this contact: welcome bots only its first message in 24
    hours, and none where it has disabled replies and the message answers no button."""
    if facts.disable_reply_bot and not facts.quick_reply:
        return []
    welcome = facts.incoming_24h is not None and facts.incoming_24h <= 1
    return [match for match in matches if welcome or match.trigger_type != TriggerType.WELCOME]


def _triggers(reply_trigger: str) -> list[bytes]:
    triggers = (part.strip(_BLANKS) for part in reply_trigger.encode().lower().split(b","))
    return [trigger for trigger in triggers if trigger not in (b"", b"0")]


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
