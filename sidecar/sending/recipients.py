"""What limits and suppression know a recipient by."""

import hashlib

from contracts.cloud_api.people import main_form, phone_digits

#: Longer than any user id of Meta's. It is part of Redis keys, and may be what a webhook says.
MAX_NAME = 192


def name_of(recipient: str) -> str:
    """Return the name of a phone number or user id: the same for all forms of a number, so that
    nobody gets twice what one person may have, or is reached by another form after a refusal."""
    digits = phone_digits(recipient)
    if digits is not None:
        return main_form(digits)
    if len(recipient) <= MAX_NAME:
        return recipient
    return hashlib.blake2b(recipient.encode(errors="replace"), digest_size=16).hexdigest()
