"""Targets of notifications that write down what they were sent."""

from contracts.notifications import Item, News, Notification
from sidecar.notify.target import NotTaken

INSTALLATION = "shop"


class Paper:
    """A target that takes everything, or nothing while it has a ``trouble``."""

    def __init__(self, trouble: str = "") -> None:
        self.trouble = trouble
        self.sent: list[Notification] = []
        self.tried = 0
        self.closed = False

    async def send(self, notification: Notification) -> None:
        self.tried += 1
        if self.trouble:
            raise NotTaken(self.trouble)
        self.sent.append(notification)

    async def close(self) -> None:
        self.closed = True

    @property
    def news(self) -> list[tuple[News, str]]:
        """What it has been told, and of which events."""
        return [(item.news, item.event) for one in self.sent for item in one.items]


def make_item(news: News = News.PROBLEM, event: str = "redis-full", **more: object) -> Item:
    facts = {
        "code": "redis-full",
        "what": "Redis is full",
        "do": "Empty it.",
        "since": 1_750_000_000_000,
        "runbook": "docs/runbooks.md#redis-full",
    }
    return Item(news=news, event=event, **{**facts, **more})


def make_notification(*items: Item, id_: str = "n1", at: int = 1_750_000_000_000) -> Notification:
    found = list(items) or [make_item()]
    return Notification(id=id_, at=at, installation=INSTALLATION, items=found)
