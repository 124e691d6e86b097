"""Which work a call to PHP belongs to (W3C Trace Context): nothing is measured or sent elsewhere.

Every call to PHP carries ``traceparent``, so that whatever PHP traces with (OpenTelemetry, an APM)
shows the calls of one batch of webhooks, or of one campaign, as one trace; the log names it as
``trace``. What PHP asks of the sidecar goes on with PHP's own trace.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from structlog.contextvars import bound_contextvars

HEADER = "traceparent"

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("trace", default=None)


@contextmanager
def tracing(parent: str | None = None, *, of: str | None = None) -> Iterator[None]:
    """Let all calls inside the block belong to one trace: that of the caller, whose header is
    ``parent``; or that of something with a name, whoever works on it and whenever; or a new one."""
    trace_id = _of_caller(parent) or (secrets.token_hex(16) if of is None else id_of(of))
    token = _current.set(trace_id)
    try:
        with bound_contextvars(trace=trace_id):
            yield
    finally:
        _current.reset(token)


def traceparent() -> str:
    """Return the header's value for one call. It asks to be recorded: calls to PHP are few."""
    return f"00-{_current.get() or secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def id_of(name: str) -> str:
    """Return the id of the trace of something with a name."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _of_caller(parent: str | None) -> str | None:
    found = _PARENT.fullmatch(parent or "")
    return found[1] if found else None
