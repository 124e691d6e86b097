"""Structured logs: they carry vendor, campaign and wamid, never a secret or a message's text."""

import logging
import sys
from typing import Any

import orjson
import structlog


def configure(level: str, log_format: str, process: str) -> None:
    """Set up structlog and the standard library's logging, which libraries use, alike.

    ``log_format`` is "json" (one object a line) or "console". ``process`` names who logs.
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
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("dramatiq", "asyncio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.contextvars.bind_contextvars(process=process)


def _to_json(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class Trouble:
    """Says once that something does not work, and once that it works again.

    For what is tried over and over: the reason belongs in the log once, not a thousand times.
    """

    def __init__(self, event: str, **context: Any) -> None:
        self._log = structlog.get_logger().bind(**context)
        self._event = event
        self._reason: str | None = None
        self._times = 0

    def failed(self, reason: str) -> None:
        """Log the reason, unless it is the one that was logged last."""
        self._times += 1
        if reason != self._reason:
            self._reason = reason
            self._log.warning(self._event, reason=reason, times=self._times)

    @property
    def reason(self) -> str | None:
        """Why it does not work now, or None if it does."""
        return self._reason

    def worked(self) -> None:
        """Log that it is over, if there was anything."""
        if self._reason is not None:
            self._log.info(f"{self._event}_over", reason=self._reason, times=self._times)
            self._reason = None
            self._times = 0
