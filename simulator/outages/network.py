"""The way from the workers to the Cloud API, which a machine's own network can spoil."""

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Self

from simulator.chaos.fault_proxy import FaultProxy
from simulator.outages.resolver import NAME
from simulator.processes import python

#: No outage of the Cloud API: connections are refused, no name is resolved, or what answers has a
#: certificate that nobody trusts, as a captive portal has or a proxy of the host's.
REFUSED, DNS, TLS = "refused", "dns", "tls"
SHAPES = (REFUSED, DNS, TLS)

#: Meta's answers take about so long.
LATENCY_S = 0.1
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


class Network:
    """A proxy in front of the Cloud API on port ``target``, with what a ``shape`` is about: a
    certificate, or a name. Use as a context manager; ``folder`` is for files."""

    def __init__(self, folder: Path, target: int, shape: str | None = None) -> None:
        self._shape = shape
        self._names = folder / "names"
        self._trusted = folder / "trusted.pem"
        self._proxy = FaultProxy(target, latency_s=LATENCY_S)
        self._good: ssl.SSLContext | None = None
        self._bad: ssl.SSLContext | None = None
        if shape == TLS:
            self._good, self._bad = (
                _self_signed(self._trusted),
                _self_signed(folder / "unknown.pem"),
            )
        self._proxy.tls = self._good

    def __enter__(self) -> Self:
        self._set_names(NAME)
        self._proxy.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._proxy.__exit__(*error)

    @property
    def url(self) -> str:
        """The Cloud API's address, as workers know it."""
        host = NAME if self._shape == DNS else "127.0.0.1"
        return f"{'https' if self._shape == TLS else 'http'}://{host}:{self._proxy.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What workers need to be told besides."""
        return {"SSL_CERT_FILE": str(self._trusted)} if self._shape == TLS else {}

    def command(self, *arguments: str) -> list[str]:
        """Return the command for one of our own modules on this network."""
        if self._shape != DNS:
            return python(*arguments)
        return python("simulator.outages.resolver", str(self._names), *arguments)

    def fail(self) -> None:
        """Have it fail as the shape says. Connections that there are break."""
        self._proxy.close()
        self._proxy.cut()
        if self._shape == DNS:
            self._set_names("")
        if self._shape == TLS:
            self._proxy.tls = self._bad
            self._proxy.open()

    def mend(self) -> None:
        """Have it work again."""
        if self._shape == TLS:
            self._proxy.close()
            self._proxy.tls = self._good
        self._set_names(NAME)
        self._proxy.open()

    def _set_names(self, name: str) -> None:
        new = self._names.with_suffix(".new")
        new.write_text(name)
        new.replace(self._names)


def _self_signed(certificate: Path) -> ssl.SSLContext:
    key = certificate.with_suffix(".key")
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ["openssl", "req", "-x509", *_KEY, *subject, "-keyout", str(key)]
    subprocess.run([*command, "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def lacking(shape: str, which: Callable[[str], str | None] = shutil.which) -> str | None:
    """Return the program that a shape needs and this machine does not have."""
    return "openssl" if shape == TLS and which("openssl") is None else None
