"""``python -m simulator.outages.resolver FILE MODULE ARGUMENT...`` runs a module to which the Cloud
API's name is this machine while the file holds it, and which no resolver answers while it does not.
"""

import runpy
import socket
import sys
from pathlib import Path
from typing import Any

#: A name that no real resolver knows (RFC 6761).
NAME = "graph.invalid"


class Resolver:
    """``getaddrinfo`` with the names in ``file``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._getaddrinfo = socket.getaddrinfo

    def getaddrinfo(self, host: Any, *arguments: Any, **more: Any) -> Any:
        if host == NAME:
            if self._file.read_text() != NAME:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            host = "127.0.0.1"
        return self._getaddrinfo(host, *arguments, **more)


def main() -> None:
    file, module, *arguments = sys.argv[1:]
    socket.getaddrinfo = Resolver(Path(file)).getaddrinfo
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
