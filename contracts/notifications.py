"""Notifications: what the sidecar posts to the operator's own webhook (``notify_webhook_url``).

The body is a :class:`Notification` as JSON, signed as an internal call is
(``contracts/signing.py``) for the audience ``notification``, under a key of its own
(``notify_webhook_keys``). Any 2xx answer takes it. It comes again if the answer is another one or
does not arrive, so the same ``id`` may come twice.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class News(StrEnum):
    """What is new of an event: it has begun, it has become worse, it is over; or this is a test."""

    PROBLEM = "problem"
    WORSE = "worse"
    OVER = "over"
    TEST = "test"


class Item(BaseModel):
    """``event`` is the same in all items about one event. ``since``: when it began, unix ms.
    ``runbook`` is a path in this repository. Phone numbers are masked."""

    model_config = ConfigDict(frozen=True)

    news: News
    event: str
    code: str
    what: str
    do: str
    since: int
    runbook: str


class Notification(BaseModel):
    """``at``: unix ms. ``installation``: the setting ``notify_name``. ``more``: how many items were
    left out because there were too many at once."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(min_length=1)
    at: int
    installation: str
    items: list[Item]
    more: int = 0
