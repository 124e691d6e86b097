"""The bounds of a vendor's dead letters.

Every script that adds a dead letter uses ``sidecar/redis/lua/dead_letters/dead_letters.lua``, which
deletes the oldest beyond the bounds and counts them; so no letter can be added without its bound.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from sidecar.redis import keys
from sidecar.settings import Settings

DAY_MS = 86_400_000


class LetterKind(StrEnum):
    """What was given up. Effects are deleted before updates."""

    UPDATES = "updates"
    EFFECTS = "effects"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The maximum of one vendor's dead letters."""

    number: int = 50_000
    size_bytes: int = 64 * 1024 * 1024
    days: int = 90

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            settings.dead_letters_limit,
            settings.dead_letters_limit_bytes,
            settings.dead_letters_limit_days,
        )

    def words(self, now: int) -> list[int]:
        """Return them as the scripts take them: the number, the bytes, and the first time (unix ms)
        of which letters are kept."""
        return [self.number, self.size_bytes, now - self.days * DAY_MS]


DEFAULT_BOUNDS = Bounds()


def letter_keys(vendor_uid: str) -> list[str]:
    """Return the keys of a vendor's dead letters, and the vendor, as the scripts take them."""
    return [
        keys.DEAD,
        keys.dead_letters(vendor_uid),
        keys.dead_updates(vendor_uid),
        keys.dead_effects(vendor_uid),
        keys.counters(vendor_uid),
        vendor_uid,
    ]
