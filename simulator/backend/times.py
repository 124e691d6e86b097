"""Between the contract's unix milliseconds and the tables' UTC text of whole seconds."""

from datetime import UTC, datetime

_FORMAT = "%Y-%m-%d %H:%M:%S"
_LAST_SECOND = 253402300799  # 9999-12-31 23:59:59, the last one a datetime column can hold


def to_text(ms: int) -> str:
    """Return the second in which ``ms`` lies. Times beyond the column's range become its ends."""
    second = min(max(ms // 1000, 0), _LAST_SECOND)
    return datetime.fromtimestamp(second, UTC).strftime(_FORMAT)


def to_text_up(ms: int) -> str:
    """Return the first whole second that is not before ``ms``, so that nothing falls due early."""
    return to_text(ms + 999)


def to_ms(text: str) -> int:
    """Return the unix milliseconds of a column's text. ``T`` and a trailing zone are accepted."""
    moment = datetime.strptime(text[:19].replace("T", " "), _FORMAT).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1000


def unix_seconds_ms(value: object) -> int | None:
    """Return the milliseconds of one of Meta's timestamps (unix seconds, text or number)."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 12):
            return None
        value = int(value)
    return value * 1000 if 0 <= value <= _LAST_SECOND else None
