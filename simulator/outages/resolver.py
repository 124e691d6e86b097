"""``python -m simulator.outages.resolver FILE MODULE ARGUMENT...`` runs a module to which the Cloud
API's name is this machine while the file holds it, and which no resolver answers while it does not.

It stands between aiohttp and the event loop: each kind of loop asks libc in its own way.
"""

import runpy
import socket
import sys
from pathlib import Path

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

#: A name that no real resolver knows (RFC 6761).
NAME = "graph.invalid"


class Names:
    """The names in ``file``, before what libc knows."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._resolve = ThreadedResolver.resolve

    def install(self) -> None:
        """Have every resolver of this process ask here first."""
        names, resolve = self, self._resolve

        async def ask(
            resolver: ThreadedResolver,
            host: str,
            port: int = 0,
            family: socket.AddressFamily = socket.AF_INET,
        ) -> list[ResolveResult]:
            return await resolve(resolver, names.address(host), port, family)

        ThreadedResolver.resolve = ask  # type: ignore[assignment, method-assign]

    def address(self, host: str) -> str:
        """Return what libc is to be asked for. Raises what it raises when nobody answers."""
        if host != NAME:
            return host
        if self._file.read_text() != NAME:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return "127.0.0.1"


def main() -> None:
    file, module, *arguments = sys.argv[1:]
    Names(Path(file)).install()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
