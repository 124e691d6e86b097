"""The messages call, and what may be concluded from how it ends.

aiohttp is used as it is, without httpx in front of it: the transport that joins the two reports a
connection that breaks after the request was sent as a failure to connect, and a message that may
have been sent would be sent again (``docs/decisions/0002-http-client.md``).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
import orjson
import structlog

from contracts.backend import SendError
from contracts.cloud_api.errors import RULES, ErrorRule, rule_for
from contracts.portable import flaw
from sidecar.metrics import METRICS, SEND_CALLS, SEND_SECONDS
from sidecar.sending.requests import dump, request_of, template_of
from workers.sending.call_times import CallTimes
from workers.sending.send_queue import ReplyRow, Row

log = structlog.get_logger()
T = TypeVar("T")

#: Idle connections are closed before the other side does it: a connection that is closed while a
#: request is on its way leaves that request's outcome unknown.
KEEPALIVE_S = 15.0
CONNECT_TIMEOUT_S = 5.0

#: So much of an answer is read; Meta's have some hundred bytes.
MAX_ANSWER_BYTES = 256 * 1024
#: So much of an acceptance is handed on to PHP, and of an error's texts, and of an id.
MAX_RESPONSE_BYTES = 8 * 1024
MAX_TEXT = 1000
MAX_ID = 255


@dataclass(frozen=True, slots=True)
class Accepted:
    wamid: str
    message_status: str | None
    wa_id: str | None
    response: dict[str, Any]
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """The API answered with an error: the message was certainly not sent."""

    rule: ErrorRule
    error: SendError


@dataclass(frozen=True, slots=True)
class NotSent:
    """No connection came about: the message was certainly not sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """The request may have arrived. It must not be repeated."""

    reason: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """The body of a call that was made before its time, with the policy that stands in it."""

    policy: str | None
    body: bytes


Attempt = Accepted | ErrorAnswer | NotSent | OutcomeUnknown


def message_body(row: Row, policy: str | None = None) -> bytes:
    """Return the body of the messages call for a row: for a campaign's, as
    :class:`contracts.cloud_api.messages.TemplateMessage` describes it; with the ``policy`` of a
    :class:`~contracts.cloud_api.messages.MarketingMessage`, as that does. Raises
    :class:`~sidecar.sending.requests.Unsendable`."""
    message = row.message if isinstance(row, ReplyRow) else template_of(row)
    return dump(request_of(row, message, policy))


class CloudApi:
    """Calls the Cloud API. Belongs to one event loop."""

    def __init__(self, url: str, version: str, *, timeout_s: float) -> None:
        self._root = f"{url}/{version}"
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s / 2)
        )
        self._session: aiohttp.ClientSession | None = None
        self.calls = CallTimes()

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Content-Type": "application/json"},
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(
        self, number: str, access_token: str, body: bytes, endpoint: str = "messages"
    ) -> Attempt:
        """Send one message by this endpoint of the number. Never raises for what the network or the
        API does."""
        started_at = time.perf_counter()
        with self.calls.call(number):
            attempt = await self._send(f"{number}/{endpoint}", access_token, body)
        METRICS.histogram(SEND_SECONDS).observe(time.perf_counter() - started_at)
        METRICS.counter(SEND_CALLS, *_labels(attempt)).add()
        return attempt

    async def ask(self, number: str, access_token: str, timeout_s: float) -> Attempt | None:
        """Ask the API about a number, which sends nothing. Return None if it answers that, or what
        it says or does else. Never raises, as :meth:`send`."""
        total_s = min(timeout_s, self._timeout.total or timeout_s)
        return await self._call(
            "GET", f"{number}?fields=id", access_token, _conclude_asking, total_s=total_s
        )

    async def _send(self, path: str, access_token: str, body: bytes) -> Attempt:
        return await self._call("POST", path, access_token, conclude, body=body)

    async def _call(
        self,
        method: str,
        path: str,
        access_token: str,
        conclude: Callable[[int, bytes], T],
        *,
        body: bytes | None = None,
        total_s: float | None = None,
    ) -> T | ErrorAnswer | NotSent | OutcomeUnknown:
        if not access_token.isprintable():
            # No header may hold it, so nothing is sent; it is as good as a token that is wrong.
            message = "the access token holds a line break or another control character"
            return ErrorAnswer(RULES[190], SendError(code=None, message=message))
        timeout = self._timeout
        if total_s is not None:
            timeout = aiohttp.ClientTimeout(total=total_s, sock_connect=timeout.sock_connect)
        try:
            async with self.session.request(
                method,
                f"{self._root}/{path}",
                data=body,
                headers={"Authorization": f"Bearer {access_token}"},
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                return conclude(response.status, await _read(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return NotSent(f"cannot connect to the Cloud API: {error}")
        except TimeoutError:
            return OutcomeUnknown("the Cloud API did not answer in time")
        except aiohttp.ClientError as error:
            # Not its text: it may repeat what the other side has sent.
            return OutcomeUnknown(f"the connection broke: {type(error).__name__}")
        except Exception as error:
            log.exception("send.call_failed")
            return OutcomeUnknown(f"the call failed: {type(error).__name__}")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            response.close()
            break
    return bytes(content)


def _labels(attempt: Attempt) -> tuple[str, str]:
    """Return how a call ended and the error's code, for the metrics."""
    match attempt:
        case Accepted():
            return "accepted", ""
        case NotSent():
            return "not_sent", ""
        case ErrorAnswer():
            return attempt.rule.error_class.value, str(attempt.error.code or "")
    return "unknown", ""


def conclude(status: int, content: bytes) -> Attempt:
    """Return what an answer means. An answer that is neither an acceptance nor an error of the
    API's own may come from a gateway that has passed the request on: its outcome is unknown,
    unless the gateway says that the service is not there (503)."""
    body = _dict(content)
    if 200 <= status < 300:
        message = _first(body.get("messages"))
        wamid = _short(message.get("id"))
        if wamid:
            contact = _first(body.get("contacts"))
            wa_id, user_id = _short(contact.get("wa_id")), _short(contact.get("user_id"))
            response = body if _fits(content, body) else {"messages": [{"id": wamid}]}
            message_status = _short(message.get("message_status"))
            return Accepted(wamid, message_status, wa_id, response, user_id)
        return OutcomeUnknown(f"the Cloud API answered {status} without a message id")
    error = body.get("error")
    if not isinstance(error, dict):
        error = {}
    code = _code(error.get("code"))
    if code is None and (status >= 500 and status != 503):
        return OutcomeUnknown(f"answer {status} without an error code of the Cloud API's")
    rule = rule_for(code, status, error.get("error_subcode"))
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    message_text = _text(error.get("message"))
    if code is None:
        message_text = f"HTTP {status}: {message_text}" if message_text else None
    message_text = message_text or rule.meaning
    return ErrorAnswer(rule, SendError(code=code, message=message_text, details=_text(details)))


def _conclude_asking(status: int, content: bytes) -> Attempt | None:
    if 200 <= status < 300:
        if _short(_dict(content).get("id")):
            return None
        return OutcomeUnknown(
            f"the Cloud API answered {status} without the number that was asked for"
        )
    return conclude(status, content)


def _dict(content: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _first(value: Any) -> dict[str, Any]:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return value[0]
    return {}


def _code(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    is_code = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9
    return value if is_code else None


def _text(value: Any) -> str | None:
    return value[:MAX_TEXT] if isinstance(value, str) else None


def _short(value: Any) -> str | None:
    """Return an id or a word; None for what is none."""
    fits = isinstance(value, str) and len(value) <= MAX_ID and value.isprintable()
    return value if fits else None


def _fits(content: bytes, body: dict[str, Any]) -> bool:
    """Tell whether an answer can be handed on as it is. It is, below other values."""
    if len(content) > MAX_RESPONSE_BYTES:
        return False
    # Only an escape makes half a character, or a NUL.
    is_plain = b"\\u" not in content and _is_plain(body)
    return is_plain or flaw([[[[body]]]]) is None


def _is_plain(body: dict[str, Any]) -> bool:
    """Tell whether an answer is made as Meta's acceptances are, of texts and lists of objects of
    texts, in which nothing can be amiss. Of others nothing is said."""
    for value in body.values():
        if type(value) is list:
            for one in value:
                if type(one) is not dict:
                    return False
                for text in one.values():
                    if type(text) is not str:
                        return False
        elif type(value) is not str:
            return False
    return True
