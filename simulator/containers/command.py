"""``python -m simulator containers``: ``make compose-test``."""

import fcntl
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from simulator.containers.engine import Engine, EngineFailed, why_not
from simulator.containers.machine import MachineLacks
from simulator.processes import ProcessFailed

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("containers")
@click.option("--messages", default=1000, show_default=True, help="Messages of each campaign.")
@click.option("--rate", default=20.0, show_default=True, help="Messages per second.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/containers"),
    show_default=True,
    help="Where images are kept for the next run.",
)
def command(messages: int, rate: float, folder: Path) -> None:
    """Build docker-compose.yml's images and run its stack in podman.

    Sends campaigns through nginx, kills each container once and upgrades the sidecar meanwhile,
    and compares the counts. Exits 1 if a message was lost or sent twice, or if a limit of the file
    is not in force. Containers, networks, volumes and mounts are removed, also when interrupted.
    """
    if reason := why_not():
        raise click.ClickException(reason)
    program = shutil.which("podman-compose", path=str(Path(sys.executable).parent))
    if program is None:
        raise click.ClickException("lacks podman-compose: run scripts/install dev")
    # Only here: it needs PyYAML, which scripts/install dev brings too.
    from simulator.containers.run import Run

    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    began = time.monotonic()
    try:
        with _engine(folder.resolve()) as engine:
            run = Run(engine, program, click.echo)
            run.build()
            run.start()
            run.count(messages, rate)
        left = engine.left()
    except (EngineFailed, MachineLacks, ProcessFailed) as error:
        raise click.ClickException(str(error)) from None
    if wrong := [*run.wrong, *(f"{one} is left behind" for one in left)]:
        raise click.ClickException("\n".join(wrong))
    click.echo(f"everything arrived once, and nothing is left, in {time.monotonic() - began:.0f} s")


@contextmanager
def _engine(folder: Path) -> Iterator[Engine]:
    """Yield an engine that is clean before and after, and nobody else's meanwhile."""
    engine = Engine(folder)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException(f"another run uses {folder}") from None
        engine.clean()
        try:
            yield engine
        finally:
            # Who is impatient has to be: what is removed half way is left behind.
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            engine.clean()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
