"""``python -m simulator vendor-webhook``."""

import click

from simulator.outside.command import serve
from simulator.vendor_webhook.app import VendorWebhook


@click.command("vendor-webhook")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0: any free one.")
@click.option(
    "--secret", default=None, help="What posts must be signed with. Default: none need be."
)
def command(host: str, port: int, secret: str | None) -> None:
    """Run a vendor's own webhook, for what is forwarded to it, until it is told to stop.

    It answers POST /hook and checks X-Hub-Signature-256. Prints "listening on URL" when it is
    ready. Control: GET /_simulator/report, GET /_simulator/requests, and POST /_simulator/faults,
    such as {"kind": "status", "status": 503, "times": 10} or {"kind": "redirect", "location": URL};
    kinds: status, hang, reset, slow, redirect. DELETE removes the faults.
    """
    serve(VendorWebhook(secret), host, port)
