"""A mail server for one test: enough of SMTP to sign in, encrypt, and take a message."""

import socketserver
import ssl
import threading
from base64 import b64decode
from contextlib import suppress
from pathlib import Path
from typing import Self


class MailServer:
    """Use as a context manager. ``refuse``: answers to commands, by their first word. ``tls``:
    certificate and key; then STARTTLS is offered, or all is encrypted (``wrapped``)."""

    def __init__(self, tls: tuple[Path, Path] | None = None, *, wrapped: bool = False) -> None:
        self.refuse: dict[str, str] = {}
        self.commands: list[str] = []
        self.messages: list[str] = []
        self.signed_in: list[str] = []
        self.context: ssl.SSLContext | None = None
        self.wrapped = wrapped
        if tls is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        talk = type("Talk", (_Talk,), {"mail": self})
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), talk)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Talk(socketserver.StreamRequestHandler):
    mail: MailServer
    encrypted = False

    def handle(self) -> None:
        with suppress(OSError):
            if self.mail.wrapped:
                self._encrypt()
            self._say("220 test")
            while line := self.rfile.readline().decode().rstrip("\r\n"):
                self.mail.commands.append(line)
                word = line.partition(" ")[0].upper()
                if word in self.mail.refuse:
                    self._say(self.mail.refuse[word])
                elif not self._answer(word, line):
                    return

    def _answer(self, word: str, line: str) -> bool:
        if word == "EHLO":
            offers = ["250-test"]
            if self.mail.context is not None and not self.encrypted:
                offers.append("250-STARTTLS")
            self._say("\r\n".join([*offers, "250 AUTH PLAIN"]))
        elif word == "STARTTLS":
            self._say("220 go on")
            self._encrypt()
        elif word == "AUTH":
            self.mail.signed_in.append(b64decode(line.split()[2]).decode().strip("\0"))
            self._say("235 in")
        elif word == "DATA":
            self._say("354 go on")
            lines = []
            while (content := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                lines.append(content)
            self.mail.messages.append("\n".join(lines))
            self._say("250 taken")
        else:
            self._say("221 bye" if word == "QUIT" else "250 ok")
        return word != "QUIT"

    def _encrypt(self) -> None:
        assert self.mail.context is not None
        self.connection = self.mail.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.encrypted = True

    def _say(self, text: str) -> None:
        self.connection.sendall(f"{text}\r\n".encode())

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.connection.close()
