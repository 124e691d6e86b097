"""Strings that PHP's ``==`` compares as numbers."""

import re
from dataclasses import dataclass

_BLANKS = rb"[ \t\n\r\v\f]*+"
_NUMERIC = re.compile(
    _BLANKS + rb"([+-]?)(?=\.?[0-9])([0-9]*+)((?:\.[0-9]*+)?(?:e[+-]?[0-9]++)?)(" + _BLANKS + rb")"
)
#: Digits of the largest integer, 2**63 - 1.
_DIGITS = 19


@dataclass(frozen=True, slots=True)
class PhpNumber:
    """A number as PHP reads it. ``integer``: written as one; ``overflow``: too large for one,
    1 or -1. PHP sees that from the digits alone where they are more than 19, whatever follows."""

    value: float
    integer: int | None = None
    overflow: int = 0

    @classmethod
    def parse(cls, text: bytes) -> "PhpNumber | None":
        """Return the number that a lowered string is; None if it is none."""
        numeric = _NUMERIC.fullmatch(text)
        if numeric is None:
            return None
        sign, digits, rest, blanks = numeric.groups()
        value = float(sign + digits + rest)
        digits = digits.lstrip(b"0")
        overflow = -1 if sign == b"-" else 1
        if len(digits) > _DIGITS:
            return cls(value, overflow=overflow)
        if rest:
            return cls(value)
        integer = int(sign + b"0" + digits)
        # It takes the smallest one for too large when blanks follow.
        if not -(2**63) + bool(blanks) <= integer < 2**63:
            return cls(value, overflow=overflow)
        return cls(value, integer)

    def equals(self, other: "PhpNumber") -> bool:
        """Return whether ``==`` takes two strings that are these numbers for equal. If it compares
        them as strings instead (both too large), they are not."""
        if self.integer is not None and other.integer is not None:
            return self.integer == other.integer
        if self.integer is not None or other.integer is not None:
            return not (self.overflow or other.overflow) and self.value == other.value
        if self.overflow and self.overflow == other.overflow:
            return False
        return self.value == other.value and abs(self.value) != float("inf")
