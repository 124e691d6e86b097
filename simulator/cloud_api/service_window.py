"""The 24 hours after a customer's message, in which the business may write what it likes."""

import json
from collections.abc import Iterator
from typing import Any

from contracts.cloud_api.people import number_forms, person
from simulator.cloud_api.customer import Customer


class ServiceWindows:
    """One for each number and customer who has written to it; ``seconds`` 0: all are open."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._written_at: dict[tuple[str, str], float] = {}

    def open(self, phone_number_id: str, customer: Customer, at: float) -> None:
        """A customer has written at a time; an older message changes nothing."""
        if self._seconds <= 0:
            return
        for address in customer.addresses:
            key = _key(phone_number_id, address)
            self._written_at[key] = max(at, self._written_at.get(key, at))

    def is_open(self, phone_number_id: str, address: str, now: float) -> bool:
        if self._seconds <= 0:
            return True
        written_at = self._written_at.get(_key(phone_number_id, address))
        return written_at is not None and now < written_at + self._seconds

    def move(self, old: Customer, new: Customer) -> None:
        """A customer's windows go along to the new number or user id."""
        numbers = {number for number, _ in self._written_at}
        for number in numbers:
            for address in old.addresses:
                if (at := self._written_at.get(_key(number, address))) is not None:
                    self.open(number, new, at)

    def read(self, body: bytes, now: float) -> None:
        """Open the windows of those whose messages are in a webhook that somebody else wrote."""
        if self._seconds <= 0:
            return
        for number, customer, at in _written(body):
            self.open(number, customer, min(at, now))


def _key(phone_number_id: str, address: str) -> tuple[str, str]:
    """A number may be written in two forms."""
    return phone_number_id, min(number_forms(address))


def _written(body: bytes) -> Iterator[tuple[str, Customer, float]]:
    for change in _changes(body):
        value = change.get("value")
        if change.get("field") not in ("messages", None) or not isinstance(value, dict):
            continue
        metadata = value.get("metadata")
        number = metadata.get("phone_number_id") if isinstance(metadata, dict) else None
        for message in _dicts(value.get("messages")):
            if message.get("type") == "system" or "group_id" in message:
                continue
            found = person(message.get("from"), user_ids=(message.get("from_user_id"),))
            customer = Customer(found.wa_id, found.user_id)
            yield str(number), customer, _seconds(message.get("timestamp"))


def _changes(body: bytes) -> list[dict[str, Any]]:
    text = body.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")
    try:
        webhook = json.loads(text, strict=False)  # orjson takes no half of an emoji
    except (ValueError, RecursionError):
        # Nobody can tell what is in it.
        return []
    entries = _dicts(webhook.get("entry")) if isinstance(webhook, dict) else []
    return [change for entry in entries for change in _dicts(entry.get("changes"))]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _seconds(value: Any) -> float:
    """Return the time of a message; one that does not tell was written now."""
    text = str(value)
    return float(text) if text.isdecimal() else float("inf")
