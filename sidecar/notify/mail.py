"""Notifications by e-mail, with the standard library in a thread."""

import asyncio
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate

import structlog

from contracts.notifications import Notification
from sidecar.notify.target import TIMEOUT_S, NotTaken
from sidecar.notify.text import body, title

log = structlog.get_logger()

_MAX_SUBJECT = 150
#: Longest that all of it may take; each step may take :data:`TIMEOUT_S`.
_LONGEST_S = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """``security``: starttls, tls or none. Without a ``user`` nobody signs in."""

    host: str
    port: int
    security: str
    user: str | None = None
    password: str = field(default="", repr=False)


class MailTarget:
    """An SMTP server, and whom it sends to."""

    def __init__(self, server: Server, sender: str | None, recipients: list[str]) -> None:
        self._server = server
        self._sender = sender or f"sidecar@{socket.gethostname()}"
        self._recipients = recipients

    async def send(self, notification: Notification) -> None:
        message = self._message(notification)
        try:
            async with asyncio.timeout(_LONGEST_S):
                await _in_thread(lambda: self._send(message))
        except TimeoutError:
            raise NotTaken(f"{self._server.host} did not take it in time") from None
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise NotTaken(f"{self._server.host}: {_reason(error)}") from None

    async def close(self) -> None:
        """Do nothing: each notification has a connection of its own."""

    def _message(self, notification: Notification) -> EmailMessage:
        message = EmailMessage()
        subject = title(notification)
        message["Subject"] = subject[:_MAX_SUBJECT]
        message["From"] = self._sender
        message["To"] = ", ".join(self._recipients)
        message["Date"] = formatdate(notification.at / 1000)
        # The same if it comes twice.
        message["Message-ID"] = f"<{notification.id}@{self._sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body(notification) + "\n")
        return message

    def _send(self, message: EmailMessage) -> None:
        server = self._server
        context = ssl.create_default_context()
        with (
            smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=context)
            if server.security == "tls"
            else smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
        ) as client:
            if server.security == "starttls":
                client.starttls(context=context)
            if server.user is not None:
                client.login(server.user, server.password)
            refused = client.send_message(message)
        if refused:
            log.warning("notification.recipients_refused", recipients=len(refused))


async def _in_thread(work: Callable[[], object]) -> None:
    """Do it in a thread that keeps no process from its end, as those of the loop's executor do: a
    server may take long over each step."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if done.done():
            return  # nobody waits any more
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except Exception as raised:  # noqa: BLE001 - it is raised where it is waited for
            error = raised
        with suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(end, error)

    threading.Thread(target=run, name="mail", daemon=True).start()
    await done


def _reason(error: Exception) -> str:
    """Return why, on one line. What the server says may repeat what it was given, so of a refusal
    to sign in only the code is left."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"it refuses the user or the password ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"it refuses all {len(error.recipients)} recipients"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"it answers {error.smtp_code}"
    return " ".join(str(error).split())[:200] or type(error).__name__
