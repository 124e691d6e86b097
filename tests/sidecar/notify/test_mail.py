"""E-mail: encrypted if it is to be, and what does not work is said without a secret."""

import asyncio
import email
import email.policy
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contracts.notifications import Notification
from sidecar.notify import mail
from sidecar.notify.mail import MailTarget, Server
from sidecar.notify.target import NotTaken
from tests.nginx.certificates import Authority
from tests.sidecar.notify.smtp import MailServer
from tests.sidecar.notify.told import make_item, make_notification

PASSWORD = "the password"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Path, Path]]:
    """An authority's certificate, and what it has issued to localhost."""
    authority = Authority(tmp_path_factory.mktemp("tls"), "authority")
    return authority.certificate, authority.issue("mail", "/CN=localhost")


@pytest.fixture
def trusted(
    tls: tuple[Path, tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    return tls[1]


@pytest.fixture
def plain() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


async def send(
    server: MailServer,
    security: str = "none",
    user: str | None = None,
    notification: Notification | None = None,
) -> None:
    where = Server("localhost", server.port, security, user, PASSWORD)
    target = MailTarget(where, "sidecar@example.com", ["a@example.com", "b@example.com"])
    await target.send(notification or make_notification())
    await target.close()


async def test_a_message(plain: MailServer) -> None:
    await send(plain)
    [text] = plain.messages
    message = email.message_from_string(text, policy=email.policy.default)
    assert message["Subject"] == "shop: 1 problem. Redis is full"
    assert message["To"] == "a@example.com, b@example.com"
    assert message["From"] == "sidecar@example.com"
    assert message["Message-ID"] == "<n1@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "What to do: Empty it." in message.get_content()


async def test_nothing_in_a_text_becomes_a_header(plain: MailServer) -> None:
    what = "a\r\nBcc: evil@example.com\r\n.\r\nQUIT é" + "x" * 500
    await send(plain, notification=make_notification(make_item(what=what)))
    [text] = plain.messages
    message = email.message_from_string(text, policy=email.policy.default)
    assert message["Bcc"] is None
    assert len(str(message["Subject"])) <= 150


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_it_is_encrypted_before_anybody_signs_in(
    trusted: tuple[Path, Path], security: str
) -> None:
    with MailServer(trusted, wrapped=security == "tls") as server:
        await send(server, security, "ops")
    assert server.signed_in == [f"ops\0{PASSWORD}"]
    assert len(server.messages) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_trusts_is_refused(
    tls: tuple[Path, tuple[Path, Path]], security: str
) -> None:
    with (
        MailServer(tls[1], wrapped=security == "tls") as server,
        pytest.raises(NotTaken, match=r"localhost: .*certificate verify failed"),
    ):
        await send(server, security, "ops")
    assert server.signed_in == []


async def test_without_encryption_nothing_is_sent_that_asks_for_it(plain: MailServer) -> None:
    with pytest.raises(NotTaken, match="STARTTLS"):
        await send(plain, "starttls", "ops")
    assert plain.signed_in == plain.messages == []


@pytest.mark.parametrize(
    ("word", "answer", "said"),
    [
        ("AUTH", f"535 no, not {PASSWORD}", "localhost: it refuses the user or the password (535)"),
        ("RCPT", "550 who?", "localhost: it refuses all 2 recipients"),
        ("MAIL", "451 later", "localhost: it answers 451"),
    ],
)
async def test_what_a_server_refuses(plain: MailServer, word: str, answer: str, said: str) -> None:
    plain.refuse[word] = answer
    with pytest.raises(NotTaken) as refused:
        await send(plain, user="ops")
    assert str(refused.value) == said


async def test_one_recipient_that_is_refused_keeps_nothing_from_the_other(
    plain: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([(550, b"who?"), (250, b"ok")])
    monkeypatch.setattr("smtplib.SMTP.rcpt", lambda *_: next(answers))
    with capture_logs() as logged:
        await send(plain)
    assert len(plain.messages) == 1
    assert [one["event"] for one in logged] == ["notification.recipients_refused"]


async def test_a_server_that_is_not_there() -> None:
    target = MailTarget(Server("127.0.0.1", 9, "none"), None, ["a@example.com"])
    with pytest.raises(NotTaken, match=r"127\.0\.0\.1: .*refused"):
        await target.send(make_notification())


async def test_a_server_that_hangs_keeps_nobody(
    plain: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither whoever waits for it, nor the end of the process."""
    going = threading.Event()
    monkeypatch.setattr(mail, "_LONGEST_S", 0.05)
    monkeypatch.setattr(MailTarget, "_send", lambda *_: going.wait(5))
    try:
        with pytest.raises(NotTaken, match="localhost did not take it in time"):
            await send(plain)
        [thread] = [one for one in threading.enumerate() if one.name == "mail"]
        assert thread.daemon
    finally:
        going.set()
    await asyncio.to_thread(thread.join)
    await asyncio.sleep(0)  # what it says now is heard by nobody


def test_a_thread_that_ends_after_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    going = threading.Event()

    async def give_up() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await mail._in_thread(lambda: going.wait(5))

    asyncio.run(give_up())
    [thread] = [one for one in threading.enumerate() if one.name == "mail"]
    going.set()
    thread.join()
