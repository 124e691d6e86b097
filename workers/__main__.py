"""``sidecar worker``: one worker process."""

import asyncio
import sys

import click
import uvloop

from contracts.jobs import Queue
from sidecar.commands.context import load_settings
from sidecar.garbage import calm_collector
from sidecar.redis import embedded
from sidecar.settings import Settings, dramatiq_url
from workers.actors import make_worker_broker
from workers.consumer import Worker
from workers.runtime import Runtime
from workers.termination import Termination

#: Each lane's drain holds a thread while it runs; the others begin campaigns, and find out that a
#: lane is being drained already.
_THREADS = 4


@click.command(name="worker", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("queues", nargs=-1, type=click.Choice([queue.value for queue in Queue]))
def main(queues: tuple[str, ...]) -> None:
    """Drain the inbox and send campaigns, until SIGTERM.

    QUEUES are messages, statuses, campaigns and effects; none means all of them. Give each a
    process of its own where one CPU core is not enough. Any number of processes may run at the same
    time.
    """
    settings = load_settings("worker")
    try:
        _run(settings, queues)
    except embedded.EmbeddedFailed as error:
        raise click.ClickException(str(error)) from None


def _run(settings: Settings, queues: tuple[str, ...]) -> None:
    with embedded.redis_url(settings) as redis_url:
        _work(settings, redis_url, queues or tuple(queue.value for queue in Queue))


def _work(settings: Settings, redis_url: str, queues: tuple[str, ...]) -> None:
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    termination = Termination()
    broker = make_worker_broker(
        dramatiq_url(settings, redis_url), lambda: Runtime(settings, redis_url, queues)
    )
    worker = Worker(broker, queues=set(queues), threads=_THREADS)
    calm_collector()
    worker.start()
    click.echo(f"working on {', '.join(queues)}")
    termination.wait()
    worker.stop(timeout=int(settings.shutdown_timeout_s * 1000))
    broker.close()


if __name__ == "__main__":
    sys.exit(main(prog_name="sidecar worker"))
