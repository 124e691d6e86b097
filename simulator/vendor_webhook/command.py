"""``python -m simulator vendor-webhook``."""

import click

from simulator.outside.command import serve
from simulator.vendor_webhook.app import VendorWebhook


@click.command("vendor-webhook")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="Port to listen on; 0 picks a free one.")
@click.option(
    "--secret", default=None, help="Secret that posts must be signed with. Default: none."
)
def command(host: str, port: int, secret: str | None) -> None:
    """Run a simulated vendor's webhook, the target of forwards, until SIGTERM.

    It answers POST /hook and checks X-Hub-Signature-256. Prints "listening on URL" when it is
    ready. Control: GET /_simulator/report, GET /_simulator/requests, and POST /_simulator/faults,
    such as {"kind": "status", "status": 503, "times": 10} or {"kind": "redirect", "location": URL};
    kinds: status, hang, reset, slow, redirect. DELETE removes the faults.
    """
    serve(VendorWebhook(secret), host, port)
