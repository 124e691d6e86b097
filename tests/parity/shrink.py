"""The smallest case that still fails."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from contracts.bots import Bot, VendorBots
from tests.parity.cases import Case

Text = TypeVar("Text", str, bytes)


def shrink(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Take away what can be taken away from a case that fails."""
    while (smaller := next(filter(fails, _smaller(case)), None)) is not None:
        case = smaller
    return case


def _smaller(case: Case) -> Iterator[Case]:
    vendor = case.vendor
    bots = vendor.bots
    for place in range(len(bots)):
        yield _with(case, vendor.model_copy(update={"bots": bots[:place] + bots[place + 1 :]}))
    if vendor.hours:
        yield _with(case, vendor.model_copy(update={"hours": None}))
    for message in _shorter(case.message):
        yield replace(case, message=message)
    for place, bot in enumerate(bots):
        for trigger in _shorter(bot.reply_trigger or ""):
            shorter = bot.model_copy(update={"reply_trigger": trigger})
            yield _with(case, _replaced(vendor, place, shorter))


def _shorter(text: Text) -> Iterator[Text]:
    size = len(text) // 2
    while size:
        for start in range(0, len(text), size):
            yield text[:start] + text[start + size :]
        size //= 2


def _with(case: Case, vendor: VendorBots) -> Case:
    return replace(case, vendor=vendor)


def _replaced(vendor: VendorBots, place: int, bot: Bot) -> VendorBots:
    bots = [*vendor.bots[:place], bot, *vendor.bots[place + 1 :]]
    return vendor.model_copy(update={"bots": bots})
