"""Ids of messages, in the form that Meta's have."""

import base64
import secrets

_BITS = 72
#: Odd, so that adding it visits every value once before any comes again.
_STEP = 0x9E3779B97F4A7C15F3 & ((1 << _BITS) - 1) | 1


class WamidMint:
    """Makes ids that are unique, also over restarts (they do not follow the seed).

    A real id is base64 of a few fixed bytes, the customer's number, the direction and a random
    part in hexadecimal.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = secrets.randbits(_BITS)

    def outgoing(self, wa_id: str) -> str:
        return self._mint(wa_id, b"\x15\x02\x00\x11\x18\x12%018X\x00")

    def incoming(self, wa_id: str) -> str:
        return self._mint(wa_id, b"\x15\x02\x00\x12\x18\x14%020X\x00")

    def _mint(self, wa_id: str, tail: bytes) -> str:
        self._last = (self._last + _STEP) & ((1 << _BITS) - 1)
        number = wa_id.encode()
        raw = b"\x1c\x18" + bytes((len(number),)) + number + tail % self._last
        return "wamid." + base64.b64encode(raw).decode()
