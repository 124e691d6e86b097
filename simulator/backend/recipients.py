"""Whom a row of the queue is sent to."""

import re
from typing import Any

from simulator.backend.envelope import text
from simulator.backend.jsontext import section

_LETTER = re.compile("[A-Za-z]")
_NO_DIGIT = re.compile("[^0-9]")

#: A user id in the column of the phone number.
_USER_ID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]+", re.ASCII)


def recipient_of(
    phone: str | None, user_id: str | None, data: dict[str, Any]
) -> dict[str, str | None]:
    """Return ``to`` or ``recipient`` of a row: its ``phone_with_country_code`` or, where that is
    no number, its contact's user id as it is now, or as the row has it. Neither: there is nobody
    to send to."""
    digits = phone_of(phone)
    if digits is not None:
        return {"to": digits, "recipient": None}
    written = phone if phone and _USER_ID.fullmatch(phone.strip()) else None
    kept = text(section(data, "contact_data").get("user_id"))
    return {"to": None, "recipient": text(user_id) or (written and written.strip()) or kept}


def phone_of(phone: str | None) -> str | None:
    """Return the digits of ``phone_with_country_code``; None if they are no number's."""
    digits = "" if _LETTER.search(phone or "") else _NO_DIGIT.sub("", phone or "")
    return digits or None
