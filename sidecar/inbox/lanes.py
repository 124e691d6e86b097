"""Which lane of the inbox a webhook belongs to."""

import re

from contracts.jobs import Lane

_STATUSES = re.compile(rb'"statuses"\s*:')
_MESSAGES = re.compile(rb'"(?:messages|message_echoes)"\s*:')
_CUSTOMERS = re.compile(rb'"messages"\s*:\s*\[\s*[^\]\s]')


def lane_of(body: bytes) -> Lane:
    """Guess the lane from the raw bytes. Only a body that certainly holds nothing but statuses
    may wait; a wrong guess costs time and nothing else."""
    # Most statuses hold no such text at all, and a plain search takes a tenth of a pattern's time.
    if b'"message' in body and _MESSAGES.search(body):
        return Lane.MESSAGES
    return Lane.STATUSES if _STATUSES.search(body) else Lane.MESSAGES


def may_hold_messages(body: bytes) -> bool:
    """Return whether a body seems to hold a customer's message. As cheap, and a guess as well."""
    return _CUSTOMERS.search(body) is not None
