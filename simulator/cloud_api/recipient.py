"""Phone numbers of recipients: how they are read, and which ones have a meaning of their own."""

from enum import StrEnum
from typing import NamedTuple

from contracts.cloud_api.errors import RULES

#: Patterns of whole values.
DIGITS = r"^[0-9]{5,15}$"
USER_ID = r"^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$"

_FORMATTING = str.maketrans("", "", "+ -().")


class MagicKind(StrEnum):
    """The three digits in front of a seven-digit error code, at the end of a number."""

    #: The send is answered with the error.
    ERROR = "999"
    #: Accepted, then a status ``failed`` with the code.
    FAILED = "888"
    #: Accepted and held for quality assessment, then dropped with the code; with 0 released.
    HELD = "777"


class Magic(NamedTuple):
    kind: MagicKind
    code: int


_KINDS = {kind.value: kind for kind in MagicKind}


def digits_of(to: str) -> str | None:
    """Return the digits of a number in international form, or None if it is not one."""
    digits = to.translate(_FORMATTING)
    if digits.isascii() and digits.isdigit() and 5 <= len(digits) <= 15:
        return digits
    return None


def wa_id_of(digits: str) -> str:
    """Return the WhatsApp id of a number: nearly always the number itself.

    Brazilian mobile numbers lose their ninth digit and Mexican ones gain a 1 after the country
    code, so that ``wa_id`` can differ from ``input`` (Meta's page on sending).
    """
    if digits.startswith("55") and len(digits) == 13 and digits[4] == "9":
        return digits[:4] + digits[5:]
    if digits.startswith("52") and len(digits) == 12:
        return "521" + digits[2:]
    return digits


def magic_of(digits: str) -> Magic | None:
    """Return what a number asks for. Codes that are not documented have no meaning here."""
    kind = _KINDS.get(digits[-10:-7])
    if kind is None:
        return None
    code = int(digits[-7:])
    if code in RULES or 200 <= code <= 299:
        return Magic(kind, code)
    return None
