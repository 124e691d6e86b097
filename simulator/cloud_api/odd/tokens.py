"""Fills in what differs from one use of a payload to the next.

``@wamid1@`` (``@wamid1~@``: in the other case), ``@longwamid1@`` (286 characters), ``@phone1@``,
``@user1@``, ``@longuser1@`` (131 characters), ``@tag1@``: made up, the same wherever they stand.
``@brazil1@``, ``@mexico1@``: numbers that have a second form, ``@brazil1+@``. ``@sent1@``: a
message that the number has sent. ``@now@``, ``@old@`` (30 hours ago), ``@month@``: unix seconds.
``@number@``, ``@display@``, ``@account@``, ``@foreign@`` (another account), ``@long@`` (80 kB).
``"@raw:…@"`` stands without its quotes, ``@byte:e9@`` for that byte.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from contracts.cloud_api.people import number_forms
from simulator.cloud_api.wamid import WamidMint

_NAME = re.compile(r"@([a-z]+)([0-9]*)([~+]?)@")
_RAW = re.compile(rb'"@raw:([^"@]*)@"')
_BYTE = re.compile(rb"@byte:([0-9a-f]{2})@")

_HOUR_S = 3600
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
_LONG = 80_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where the payloads go: a business number. ``sent``: ids of messages that it has sent."""

    phone_number_id: str
    display_phone_number: str
    account_id: str
    sent: tuple[str, ...] = ()


class Tokens:
    """The values of one use. ``people`` are the addresses that were made up, ``marks`` whatever
    else is found nowhere but in this use."""

    def __init__(self, place: Place, mint: WamidMint, rng: Random, now: float) -> None:
        self._place = place
        self._mint = mint
        self._rng = rng
        self._now = int(now)
        self._values: dict[str, str] = {}
        self.people: list[str] = []
        self.marks: list[str] = []

    def fill(self, text: str) -> str:
        """Return a text with every name replaced."""
        return _NAME.sub(self._replace, text)

    def _replace(self, found: re.Match[str]) -> str:
        name, number, form = found.groups()
        value = self._value(name, number)
        if form == "~":
            front, dot, rest = value.partition(".")
            return front + dot + rest.swapcase()
        return number_forms(value)[1] if form == "+" else value

    def _value(self, name: str, number: str) -> str:
        key = name + number
        if key not in self._values:
            self._values[key] = self._make(name)
        return self._values[key]

    def _make(self, name: str) -> str:
        made = self._fixed().get(name)
        if made is not None:
            return made
        make = self._unique().get(name)
        if make is None:
            raise ValueError(f"no payload may have @{name}@")
        value = make()
        if name in _PEOPLE:
            self.people.append(value)
        elif name != "sent":
            self.marks.append(value)
        return value

    def _fixed(self) -> dict[str, str]:
        place, now = self._place, self._now
        return {
            "now": str(now),
            "old": str(now - 30 * _HOUR_S),
            "month": str(now - 30 * 24 * _HOUR_S),
            "number": place.phone_number_id,
            "display": place.display_phone_number,
            "account": place.account_id,
            "foreign": "399999999999999",
            "long": "x" * _LONG,
        }

    def _unique(self) -> dict[str, Callable[[], str]]:
        return {
            "wamid": lambda: self._mint.incoming(self._letters(12)),
            "longwamid": lambda: "wamid." + self._letters(280),
            "phone": lambda: f"9990{self._digits(10)}",
            "brazil": lambda: "5582" + self._digits(8),
            "mexico": lambda: "52" + self._digits(10),
            "user": lambda: "US." + self._digits(20),
            "longuser": lambda: "BR." + self._letters(128),
            "tag": lambda: self._digits(12),
            "group": lambda: self._letters(58),
            "sent": lambda: self._rng.choice(self._place.sent or ("wamid.unknown",)),
        }

    def _digits(self, count: int) -> str:
        # The first one is none of those that ask for an error (simulator.cloud_api.recipient).
        return "1" + "".join(str(self._rng.randrange(10)) for _ in range(count - 1))

    def _letters(self, count: int) -> str:
        return "".join(self._rng.choice(_LETTERS) for _ in range(count))


_PEOPLE = frozenset({"phone", "brazil", "mexico", "user", "longuser"})


def to_bytes(filled: str) -> bytes:
    """Return the body of a filled text."""
    body = _RAW.sub(rb"\1", filled.encode())
    return _BYTE.sub(lambda found: bytes.fromhex(found[1].decode()), body)
