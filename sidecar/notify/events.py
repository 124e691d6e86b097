"""Which problems are news: an event is told of once, and once when it is over.

What comes and goes is damped. A problem is told of when it has stood for a while (at once where
only a person can end it), and it is over when it has been gone for a while, which doubles each time
it comes back. So what flaps is one event, and what flaps slowly is told of ever more rarely.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from contracts.notifications import Item, News
from sidecar.ops.masking import mask
from sidecar.ops.notifications import MAX_EVENTS, Event
from sidecar.ops.problem import MORE, Code, Problem

#: Problems of one kind that are events of their own; the rest are one.
MAX_OF_A_KIND = 20
#: Longest text of what is wrong, and of what to do, in characters.
MAX_TEXT = 1000
#: An event that is over counts as known for so long: if it comes back, it has flapped.
REMEMBERED_MS = 86_400_000
#: The longest that an event must be gone until it is over, however often it has come back.
LONGEST_GONE_MS = 3_600_000
#: What has become worse is told of again no sooner, and only if it has doubled.
WORSE_MS = 600_000


#: How many times as long as usual a problem must stand until people are told. Not at all where only
#: a person can end it; for long where a cutover, a restart or a deployment brings it about.
_WAITS: dict[str, int] = {
    Code.CAMPAIGN_PAUSED: 0,
    Code.SENDING_PAUSED: 0,
    Code.DEAD_LETTERS: 0,
    Code.DEAD_LETTERS_DELETED: 0,
    Code.UNKNOWN_MESSAGES: 0,
    Code.ACCOUNTING_UNBALANCED: 0,
    Code.REDIS_NOT_DURABLE: 0,
    Code.CAMPAIGNS_HELD: 10,
    Code.PHP_IN_MAINTENANCE: 10,
}
#: What ends by itself, and nobody has to do anything about.
_NOT_TOLD = {Code.CLOUD_API_SLOW, Code.NUMBER_HELD, Code.CAMPAIGN_WAITS}


@dataclass(frozen=True, slots=True)
class Pace:
    """``after_ms``: how long a problem must stand until people are told, ``clear_ms``: how long it
    must be gone until it is over."""

    after_ms: int
    clear_ms: int

    def wait_ms(self, code: str) -> int:
        # Another version may have left codes that this one does not know.
        return _WAITS.get(code, 1) * self.after_ms

    def gone_ms(self, returns: int) -> int:
        return min(self.clear_ms << min(returns, 10), max(LONGEST_GONE_MS, self.clear_ms))


@dataclass(slots=True)
class Changes:
    """Events that are to be stored and forgotten, and what people are to be told."""

    events: dict[str, Event] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)


def look(
    known: dict[str, Event],
    problems: Iterable[Problem],
    now: int,
    pace: Pace,
    keep: frozenset[str] = frozenset(),
) -> Changes:
    """Compare what is wrong now with the events that are known. ``now``: unix ms. ``keep``: ids
    that are not to be masked."""
    changes = Changes()
    standing = _by_id(problems)
    room = MAX_EVENTS - len(known)
    for id_, problem in standing.items():
        before = known.get(id_)
        if problem.cause is not None and (before is None or not before.told_at):
            continue  # people are told of the cause
        if before is None:
            room -= 1
            if room < 0:
                continue  # it becomes an event when others are forgotten
        event, news = _stands(_event(before, problem, now), problem.size, now, pace)
        if news is not None or before is None:
            what, do = (_cut(mask(text, keep)) for text in (problem.what, problem.do))
            event = replace(event, what=what.rstrip(". "), do=do)
        _note(changes, id_, before, event, news)
    for id_, before in known.items():
        if id_ not in standing:
            _note(changes, id_, before, *_is_gone(_not_later(before, now), now, pace))
    return changes


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ..."


def item(id_: str, event: Event, news: News) -> Item:
    """Return what people are told of an event."""
    runbook = f"docs/runbooks.md#{event.code}"
    return Item(
        news=news,
        event=id_,
        code=event.code,
        what=event.what,
        do=event.do,
        since=event.since,
        runbook=runbook,
    )


def _note(
    changes: Changes, id_: str, before: Event | None, event: Event | None, news: News | None
) -> None:
    if event is None:
        changes.forgotten.append(id_)
        return
    if event != before:
        changes.events[id_] = event
    if news is not None:
        changes.items.append(item(id_, event, news))


def _by_id(problems: Iterable[Problem]) -> dict[str, Problem]:
    """Return the problems that are told of by the ids of their events, the first of each."""
    found: dict[str, Problem] = {}
    kinds: Counter[Code] = Counter()
    for problem in problems:
        if problem.code in _NOT_TOLD:
            continue
        kinds[problem.code] += 1
        subject = problem.subject if kinds[problem.code] <= MAX_OF_A_KIND else MORE
        found.setdefault(f"{problem.code}:{subject}" if subject else problem.code.value, problem)
    return found


def _event(before: Event | None, problem: Problem, now: int) -> Event:
    """Return the event that a problem is, before it is told of."""
    if before is not None and not before.over:
        event = _not_later(before, now)
        returned = bool(event.told_at and event.gone_at)
        return replace(event, gone_at=0, returns=event.returns + returned)
    returns = 0 if before is None else before.returns + 1
    return Event(problem.code.value, "", "", since=now, returns=returns)


def _stands(event: Event, size: int, now: int, pace: Pace) -> tuple[Event, News | None]:
    if not event.told_at:
        if now - event.since < pace.wait_ms(event.code):
            return event, None
        return replace(event, told_at=now, size=size), News.PROBLEM
    if event.size and size >= 2 * event.size and now - event.told_at >= WORSE_MS:
        return replace(event, told_at=now, size=size), News.WORSE
    return replace(event, size=min(event.size, size)), None


def _is_gone(event: Event, now: int, pace: Pace) -> tuple[Event | None, News | None]:
    if event.over:
        return (event if now - event.gone_at < REMEMBERED_MS else None), None
    gone = replace(event, gone_at=event.gone_at or now)
    if not event.told_at:
        # What comes and goes before it was told of has stood all the while.
        return (gone if now - gone.gone_at < pace.wait_ms(event.code) else None), None
    if now - gone.gone_at < pace.gone_ms(event.returns):
        return gone, None
    return replace(gone, gone_at=now, over=True), News.OVER


def _not_later(event: Event, now: int) -> Event:
    """Return it as if nothing of it were in the future: Redis's clock was set back."""
    return replace(
        event,
        since=min(event.since, now),
        told_at=min(event.told_at, now),
        gone_at=min(event.gone_at, now),
    )
