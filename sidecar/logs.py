"""Structured logs, with vendor, campaign and wamid, but never a secret or a message's text.

Logging never fails, whatever is logged: values that cannot be written are described, long ones are
cut.
"""

import logging
import sys
from itertools import islice
from typing import Any

import orjson
import structlog

#: Maximum length of a value, and of a traceback, in characters.
MAX_TEXT = 2000
MAX_TRACEBACK = 16_000
#: Maximum elements of a list or an object, and maximum depth.
MAX_PARTS = 100
MAX_DEPTH = 5

_TRACEBACKS = ("exception", "stack")


def configure(level: str, log_format: str, process: str) -> None:
    """Set up structlog, and the standard library's logging (which libraries use) to match.

    ``log_format`` is "json" (one object per line) or "console". ``process`` names the process.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(serializer=_to_json)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Formatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _writable,
                renderer,
            ],
        )
    )
    # Nobody can handle a line that cannot be written (nobody reads stderr any more).
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("dramatiq", "asyncio", "aiohttp.access", "httpx"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.contextvars.bind_contextvars(process=process)


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001
            # A library's message that does not fit its arguments, say.
            event = _said(record.msg)
            reason = type(error).__name__
            record.msg, record.args = f"{event} (cannot be formatted: {reason})", ()
            record.exc_info = record.exc_text = record.stack_info = None
            return super().format(record)


def _to_json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=_said).decode()


def _writable(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Make every value writable."""
    found: structlog.typing.EventDict = {}
    for name, value in event.items():
        if name in _TRACEBACKS and isinstance(value, str):
            found[name] = _text(_without_middle(value), 2 * MAX_TRACEBACK)
        else:
            found[_text(name, MAX_PARTS)] = _value(value, 0)
    return found


def writable(value: Any) -> Any:
    """Return a value as it can be written as JSON: cut if it is long, described if it is odd."""
    return _value(value, 0)


def _value(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else _said(value)
    if not isinstance(value, dict | list | tuple | set | frozenset):
        return _said(value)
    if depth >= MAX_DEPTH:
        return f"{type(value).__name__} of {len(value)}"
    parts = islice(value, MAX_PARTS)
    if isinstance(value, dict):
        return {_said(name): _value(value[name], depth + 1) for name in parts}
    shown = [_value(part, depth + 1) for part in parts]
    if (more := len(value) - len(shown)) > 0:
        shown.append(f"and {more} more")
    return shown


def _said(value: Any) -> str:
    try:
        return _text(str(value))
    except Exception:  # noqa: BLE001
        return f"{type(value).__name__} that cannot be shown"


def _text(text: str, limit: int = MAX_TEXT) -> str:
    if len(text) > limit:
        text = f"{text[:limit]} ... ({len(text)} characters)"
    return text.encode(errors="backslashreplace").decode()


def _without_middle(text: str) -> str:
    if len(text) <= MAX_TRACEBACK:
        return text
    half = MAX_TRACEBACK // 2
    return f"{text[:half]}\n ... ({len(text)} characters) ...\n{text[-half:]}"


class LogOnce:
    """Logs once that something fails, and once that it works again.

    For what is retried over and over: the reason belongs in the log once, not a thousand times.
    """

    def __init__(self, event: str, **context: Any) -> None:
        self._log = structlog.get_logger().bind(**context)
        self._event = event
        self._reason: str | None = None
        self._times = 0

    def failed(self, reason: str) -> None:
        """Log the reason, unless it was the last one logged."""
        self._times += 1
        if reason != self._reason:
            self._reason = reason
            self._log.warning(self._event, reason=reason, times=self._times)

    @property
    def reason(self) -> str | None:
        """Return why it fails now, or None if it works."""
        return self._reason

    def worked(self) -> None:
        """Log that it works again, if it had failed."""
        if self._reason is not None:
            self._log.info(f"{self._event}.resolved", reason=self._reason, times=self._times)
            self._reason = None
            self._times = 0
