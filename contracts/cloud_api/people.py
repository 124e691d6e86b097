"""Who a message is from or to: a phone number, a user id, or both.

People with a username may hide their phone number. A webhook then names them by a user id alone
(``CC.`` and up to 128 letters and digits; of a parent business ``CC.ENT.`` before them), sometimes
in the members that used to hold the number. A message to them goes to ``recipient``, not ``to``
(https://developers.facebook.com/docs/whatsapp/business-scoped-user-ids).

A Brazilian number has a ninth digit that may be left out, a Mexican one a 1 and an Argentine one a
9 that may be put in: Meta's ``wa_id`` need not be what was dialled.
"""

import re
from dataclasses import dataclass
from typing import Any

_FORMATTING = str.maketrans("", "", "+ -().")
_PHONE = re.compile(r"[0-9]{5,20}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Person:
    """``wa_id``: digits with the country code. ``user_id``: within the business's portfolio. At
    least one is there where anything is known."""

    wa_id: str | None = None
    user_id: str | None = None


def person(*candidates: Any, user_ids: tuple[Any, ...] = ()) -> Person:
    """Return who is meant by members that hold a number or a user id (``candidates``, in order of
    precedence), and by those that hold user ids only. Numbers of JSON count as their digits."""
    wa_id = user_id = None
    for text in map(identifier, candidates):
        if text is None:
            continue
        digits = phone_digits(text)
        if digits is not None:
            wa_id = wa_id or digits
        else:
            user_id = user_id or text
    for text in map(identifier, user_ids):
        if text is not None:
            user_id = text
            break
    return Person(wa_id, user_id)


def phone_digits(text: str) -> str | None:
    """Return the digits of a phone number, or None of what is none (a user id, a group's id)."""
    digits = text if text.isdecimal() else text.translate(_FORMATTING)
    return digits if _PHONE.fullmatch(digits) else None


def number_forms(digits: str) -> tuple[str, ...]:
    """Return the forms in which the same number may be written, the given one first."""
    if digits.startswith("55") and len(digits) == 13 and digits[4] == "9":
        return digits, digits[:4] + digits[5:]
    if digits.startswith("55") and len(digits) == 12:
        return digits, f"{digits[:4]}9{digits[4:]}"
    if digits.startswith("521") and len(digits) == 13:
        return digits, f"52{digits[3:]}"
    if digits.startswith("52") and len(digits) == 12:
        return digits, f"521{digits[2:]}"
    if digits.startswith("549") and len(digits) == 13:
        return digits, f"54{digits[3:]}"
    if digits.startswith("54") and len(digits) == 12:
        return digits, f"549{digits[2:]}"
    return (digits,)


def main_form(digits: str) -> str:
    """Return the shortest form of a number, which is the same for all of them."""
    return min(number_forms(digits), key=len) if digits.startswith("5") else digits


def identifier(value: Any) -> str | None:
    """Return an id as text, whether it was written as text or as a whole number; else None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


#: The members that name the other side of a message, an echo or a status, and a contact.
NAMES = {
    "message": ("from", "from_user_id", "from_parent_user_id"),
    "echo": ("to", "to_user_id", "to_parent_user_id"),
    "status": (
        *("recipient_id", "recipient_user_id", "recipient_parent_user_id"),
        *("recipient_participant_id", "recipient_participant_user_id"),
        "recipient_participant_parent_user_id",
    ),
    "contact": ("wa_id", "user_id", "parent_user_id"),
}


def names(values: dict[str, Any], kind: str) -> list[str]:
    """Return the ids under which an element of this kind, or a contact, names somebody; a number
    in its main form."""
    found = []
    for member in NAMES[kind]:
        text = identifier(values.get(member))
        if text is not None:
            digits = phone_digits(text)
            found.append(text if digits is None else main_form(digits))
    return found
