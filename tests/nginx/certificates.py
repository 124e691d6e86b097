"""Certificates for one test, made by openssl."""

import shutil
import subprocess
from pathlib import Path

from tests.nginx.packages import require


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.certificate = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/O=Tests/CN={name}", "-days", "2"),
            *("-keyout", self._key, "-out", self.certificate),
        )

    def issue(self, name: str, subject: str) -> tuple[Path, Path]:
        """Return a certificate for this subject, and its key."""
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        request = self._folder / f"{name}.csr"
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", subject, "-keyout", key, "-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-days", "2", "-CAcreateserial"),
            *("-CA", self.certificate, "-CAkey", self._key, "-out", certificate),
        )
        return certificate, key


def _openssl(*arguments: str | Path) -> None:
    binary = require("openssl", shutil.which("openssl"), "openssl")
    subprocess.run([binary, *map(str, arguments)], check=True, capture_output=True)
