"""When a vendor's bots answer."""

import re
from collections.abc import Set
from datetime import datetime, time
from zoneinfo import ZoneInfo

import structlog

from contracts.bots import BotHours, TriggerType

log = structlog.get_logger()

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_NONE: Set[str] = frozenset()


class OpeningHours:
    """Bot hours, compiled once. Invalid times or time zones are logged and ignored: a bot that
    answers too often is better than one that never does."""

    def __init__(self, hours: BotHours | None, vendor_uid: str) -> None:
        self._zone: ZoneInfo | None = None
        if hours is None:
            return
        types = TriggerType if hours.trigger_types is None else hours.trigger_types
        self._types: Set[str] = frozenset(types)
        try:
            self._start, self._end = _time(hours.start), _time(hours.end)
            self._zone = _zone(hours.timezone)
        except ValueError as error:
            log.warning("bot.hours_invalid", vendor_uid=vendor_uid, error=str(error))

    def closed(self, at: datetime) -> Set[str]:
        """Return the trigger types of the bots that do not answer at a moment."""
        if self._zone is None:
            return _NONE
        now = at.astimezone(self._zone).time()
        if self._start < self._end:
            is_open = self._start <= now < self._end
        else:
            is_open = now >= self._start or now < self._end
        return _NONE if is_open else self._types


def _time(text: str) -> time:
    if not _TIME.fullmatch(text):
        raise ValueError(f"the time {text!r} is not HH:MM; correct it in the vendor's settings")
    return time.fromisoformat(text)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # Depending on the name: of no zone, of no file, or of a folder of zones.
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"the time zone {name!r} is not known; correct it in the vendor's settings"
        ) from error
