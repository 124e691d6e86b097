"""``python -m simulator pusher``."""

import click

from simulator.outside.command import serve
from simulator.pusher.app import Pusher


@click.command("pusher")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="Port to listen on; 0 picks a free one.")
@click.option("--app-id", default="1001", show_default=True)
@click.option("--key", default="simulated-key", show_default=True)
@click.option("--secret", default="simulated-secret", show_default=True)
def command(host: str, port: int, app_id: str, key: str, secret: str) -> None:
    """Run a simulated Pusher server (its HTTP API) until SIGTERM.

    It answers POST /apps/ID/events and POST /apps/ID/batch_events, checks signatures, and keeps
    Pusher's limits. Prints "listening on URL" when it is ready. Control: GET /_simulator/report,
    GET /_simulator/requests (the events), and POST /_simulator/faults, such as {"kind": "status",
    "status": 429, "retry_after": "1", "times": 10}; kinds: status, hang, reset, slow, broken.
    DELETE removes the faults.
    """
    serve(Pusher(app_id, key, secret), host, port)
