"""The floor: a bare uvicorn that reads a body and answers. ``python -m bench.peers.floor``."""

import gc
import socket

import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

_HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"2")]


async def app(_scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    while (await receive()).get("more_body"):
        pass
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": _HEADERS,
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": b"OK", "more_body": False})


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        config = uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=False,
        )
        # As `sidecar serve` does.
        gc.freeze()
        gc.set_threshold(10_000, 50, 100)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
