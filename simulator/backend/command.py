"""``simulate backend``: the embedded backend as a process of its own."""

import gc
import logging
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, Unpack, get_args

import click
import structlog
import uvicorn
from pydantic import SecretBytes

from simulator.backend.app import create_app
from simulator.backend.config import BackendConfig, OptOuts
from simulator.backend.connection import DroppableProtocol
from simulator.backend.database import open_database
from simulator.backend.seed import CampaignSeed, seed_campaign, seed_installation


def _parse_keys(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, bytes]:
    keys = {}
    for value in values:
        key_id, _, secret = value.partition(":")
        if not (key_id and secret):
            raise click.BadParameter("a signing key is written ID:SECRET")
        keys[key_id] = secret.encode()
    return keys


class _Server(uvicorn.Server):
    """Says where it listens as soon as it does."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What was made until now stays; a collection need not walk it in the middle of a call.
        gc.collect()
        gc.freeze()
        if self.started:
            click.echo(f"listening on {self._url}")


class _Seed(TypedDict):
    """What to put into an empty database."""

    seed_vendors: int
    seed_messages: int
    access_token: str
    app_secret: str


@click.command("backend")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port to listen on; 0 picks a free one.")
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file, kept when the server stops. Default: a temporary one.",
)
@click.option(
    "--key",
    "keys",
    metavar="ID:SECRET",
    callback=_parse_keys,
    multiple=True,
    help="Signing key; several may be given. Default: a random one, printed to stderr.",
)
@click.option("--sidecar-url", help="Where the sidecar listens, for sidecar check --deep.")
@click.option(
    "--media-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder into which the sidecar fetches media. Default: it is not asked for any.",
)
@click.option(
    "--campaign-opt-outs",
    type=click.Choice(get_args(OptOuts)),
    default="marketing",
    show_default=True,
    help="Which templates contacts who have opted out do not get.",
)
@click.option("--full-sync", is_flag=True, help="Survive a power cut, not only a killed process.")
@click.option("--seed-vendors", default=0, help="Vendors to create in an empty database.")
@click.option("--seed-messages", default=0, help="Messages in the campaign of each.")
@click.option(
    "--access-token", default="simulated-access-token", help="Access token of these vendors."
)
@click.option("--app-secret", default="simulated-app-secret", help="App secret of these vendors.")
def command(
    host: str,
    port: int,
    database: Path | None,
    keys: dict[str, bytes],
    sidecar_url: str | None,
    media_dir: Path | None,
    campaign_opt_outs: OptOuts,
    full_sync: bool,
    **seed: Unpack[_Seed],
) -> None:
    """Run a simulated PHP backend: the PHP side's contract on SQLite.

    Prints "listening on URL" on stdout when it is ready. What it seeded is printed to stderr.
    """
    _log_to_stderr()
    with (
        _exit_on_sigterm(),
        _database_file(database) as path,
        _listening_socket(host, port) as listener,
    ):
        if seed["seed_vendors"]:
            _fill(path, seed)
        config = BackendConfig(
            database=path,
            keys={
                key_id: SecretBytes(secret) for key_id, secret in (keys or _random_key()).items()
            },
            synchronous="FULL" if full_sync else "NORMAL",
            media_dir=media_dir,
            campaign_opt_outs=campaign_opt_outs,
            sidecar_url=sidecar_url and sidecar_url.rstrip("/"),
        )
        server = _Server(
            uvicorn.Config(
                create_app(config),
                http=DroppableProtocol,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
                timeout_keep_alive=75,
            ),
            f"http://{host}:{listener.getsockname()[1]}",
        )
        server.run(sockets=[listener])


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """End in the ordinary way: uvicorn raises the signal again when it has stopped, and what is
    temporary has still to be cleared away."""
    before = signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _random_key() -> dict[str, bytes]:
    secret = secrets.token_hex(16)
    click.echo(f"signing key simulator:{secret}", err=True)
    return {"simulator": secret.encode()}


@contextmanager
def _database_file(path: Path | None) -> Iterator[Path]:
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="embedded-backend-") as folder:
        yield Path(folder) / "backend.sqlite3"


@contextmanager
def _listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from None
    with listener:
        yield listener


def _fill(path: Path, seed: _Seed) -> None:
    connection = open_database(path)
    try:
        if connection.execute("SELECT 1 FROM vendors").fetchone() is not None:
            click.echo("the database has vendors already: nothing was seeded", err=True)
            return
        for vendor in seed_installation(
            connection,
            vendors=seed["seed_vendors"],
            access_token=seed["access_token"],
            app_secret=seed["app_secret"],
        ):
            numbers = ",".join(vendor.phone_number_ids)
            click.echo(f"vendor {vendor.uid} numbers {numbers}", err=True)
            if messages := seed["seed_messages"]:
                campaign = seed_campaign(connection, vendor.uid, CampaignSeed(messages))
                click.echo(f"campaign {campaign.uid} messages {messages}", err=True)
    finally:
        connection.close()
