"""A notification as text for people."""

from collections import Counter
from collections.abc import Iterator

from contracts.notifications import Item, News, Notification
from sidecar.clock import utc_text

_WORDS = {
    News.PROBLEM: "PROBLEM",
    News.WORSE: "WORSE",
    News.OVER: "Over",
    News.TEST: "Test",
}
#: How these are counted, one and several.
_COUNTED = {
    News.PROBLEM: ("problem", "problems"),
    News.WORSE: ("got worse", "got worse"),
    News.OVER: ("over", "over"),
    News.TEST: ("test", "tests"),
}


def title(notification: Notification) -> str:
    """Return one line: what is new, in how many cases."""
    counted = Counter(one.news for one in notification.items)
    words = [
        f"{counted[news]} {_COUNTED[news][counted[news] > 1]}" for news in News if counted[news]
    ]
    first = notification.items[0].what if len(notification.items) == 1 else ""
    return " ".join(f"{notification.installation}: {', '.join(words)}. {first}".split())


def body(notification: Notification) -> str:
    """Return what is wrong and what is over, with what to do."""
    parts = ["\n".join(_lines(item)) for item in notification.items]
    if notification.more:
        parts.append(f"And {notification.more:,} more: sidecar status says all.")
    return "\n\n".join(parts)


def _lines(item: Item) -> Iterator[str]:
    yield f"{_WORDS[item.news]}: {item.what}."
    if item.news in (News.PROBLEM, News.WORSE):
        yield f"What to do: {item.do}"
        yield f"Since {utc_text(item.since)}. [{item.code}] {item.runbook}"
    elif item.news is News.OVER:
        yield f"It had begun {utc_text(item.since)}. [{item.code}]"
