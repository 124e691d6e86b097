"""``sidecar serve``: the HTTP process."""

import click

from sidecar.commands.context import load_settings
from sidecar.http.serve import CannotServe
from sidecar.http.serve import serve as run
from sidecar.redis.embedded import EmbeddedFailed


@click.command()
def serve() -> None:
    """Take webhooks and internal calls (HTTP)."""
    try:
        run(load_settings("serve"))
    except (CannotServe, EmbeddedFailed) as error:
        raise click.ClickException(str(error)) from None
