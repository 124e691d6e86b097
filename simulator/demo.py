"""``sidecar demo``: the main job, end to end, with every part a real process on this machine.

An embedded Valkey, the embedded backend, the simulated Cloud API, the sidecar and its workers are
started on free ports in a temporary folder. A campaign is started by the signed call that the PHP
admin would make, while customers write. At the end the backend's tables are compared with what
the Cloud API counted; any difference is an error.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.request import Request, urlopen

import click
import orjson
import redis

from contracts import sidecar_api as api
from contracts.signing import Signer
from simulator.backend.database import open_database
from simulator.backend.seed import SeededCampaign, SeededVendor, seed_campaign, seed_installation
from simulator.backend.tally import tally
from simulator.comparison import Comparison, compare, statuses_applied
from simulator.processes import Installation, Process, ProcessFailed

PHONE_NUMBER_ID = "106540352242922"
#: The demo gives up when nothing has changed for so long.
STALLED_S = 60.0
WORKERS = ("messages", "statuses", "campaigns")


class Demo:
    """One run in one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        messages: int,
        rate: float,
        replies: int,
        cloud_api_options: Sequence[str] = (),
    ) -> None:
        self.messages = messages
        self.rate = rate
        self.replies = replies
        self.cloud_api_options = cloud_api_options
        self.installation = Installation(folder)
        self.vendor: SeededVendor
        self.campaign: SeededCampaign
        self.backend: Process
        self.cloud_api: Process
        self.sidecar: Process
        self.memory: list[tuple[float, dict[str, int]]] = []

    def start(self) -> None:
        """Start all parts."""
        installation = self.installation
        installation.start_redis()
        with closing(open_database(installation.database)) as connection:
            [self.vendor] = seed_installation(
                connection,
                phone_number_ids=[PHONE_NUMBER_ID],
                access_token=installation.ACCESS_TOKEN,
                app_secret=installation.APP_SECRET,
                messages_per_second=self.rate,
            )
            self.campaign = seed_campaign(connection, self.vendor.uid, messages=self.messages)
            # It is started by a call, not because it is due already.
            connection.execute(
                "UPDATE campaigns SET __data = json_set(coalesce(__data, '{}'),"
                " '$.sidecar.state', 'paused')"
            )
        self.backend = installation.start_backend()
        installation.configure_defaults(self.backend.url)
        self.sidecar = installation.start_sidecar()
        self.cloud_api = installation.start_cloud_api(
            *("--phone-number-id", PHONE_NUMBER_ID, "--rate", str(self.rate)),
            *("--access-token", installation.ACCESS_TOKEN),
            *("--app-secret", installation.APP_SECRET, "--log-level", "warning"),
            *("--webhook-url", f"{self.sidecar.url}/webhook/{self.vendor.uid}"),
            *("--inbound-per-s", str(max(1.0, self.replies / self._expected_s))),
            *("--inbound-total", str(self.replies)),
            *self.cloud_api_options,
        )
        installation.configure(cloud_api_url=self.cloud_api.url)
        for queue in WORKERS:
            installation.start_worker(queue)

    @property
    def _expected_s(self) -> float:
        return self.messages / self.rate + 5

    def start_campaign(self) -> dict[str, Any]:
        """Start the campaign as the PHP admin would."""
        path = api.CAMPAIGN_SEND.format(campaign_uid=self.campaign.uid)
        key_id, secret = Installation.SIGNING_KEY
        headers = Signer(key_id, secret.encode()).headers("POST", path, b"{}")
        request = Request(self.sidecar.url + path, b"{}", headers)
        with urlopen(request, timeout=10) as response:
            return cast("dict[str, Any]", orjson.loads(response.read()))

    def watch(self) -> Iterator[str]:
        """Yield a line of progress a second, until everything has arrived or nothing moves."""
        client = redis.Redis.from_url(self.installation.redis_url)
        started = time.monotonic()
        last, changed_at = "", started
        with closing(client):
            while True:
                time.sleep(0.5)
                report = self.get(self.cloud_api, "report")
                found = tally(self.installation.database)
                applied = statuses_applied(found.outgoing)
                received, done = (
                    int(n or 0)
                    for n in client.hmget(
                        f"count:{self.vendor.uid}", "webhooks_received", "webhooks_done"
                    )
                )
                line = (
                    f"sent {report['accepted']:>6} of {self.messages}   "
                    f"statuses applied {applied:>6}   customers' messages {found.incoming:>5}   "
                    f"inbox {received - done:>5}"
                )
                self._sample_memory(time.monotonic() - started)
                yield f"{time.monotonic() - started:6.1f} s   {line}"
                self._refuse_dead_processes()
                expected = sum(report["statuses"].values())
                everything = (
                    report["idle"]
                    and received == done
                    and not found.queue
                    and applied == expected
                    and found.incoming == report["inbound"]["created"]
                )
                if everything:
                    return
                if line != last:
                    last, changed_at = line, time.monotonic()
                elif time.monotonic() - changed_at > STALLED_S:
                    return

    def compare(self) -> Comparison:
        """Compare what arrived where."""
        return compare(
            self.installation.database,
            self.messages,
            self._lines("messages"),
            self._lines("inbound"),
        )

    def backend_report(self) -> dict[str, Any]:
        return self.get(self.backend, "report")

    def memory_mb(self) -> dict[str, dict[str, float]]:
        """Return each process's memory after a fifth of the time and at the end."""
        if not self.memory:
            return {}
        end_s = self.memory[-1][0]
        early = next(sample for at, sample in self.memory if at >= end_s / 5)
        late = self.memory[-1][1]
        return {
            name: {"early": round(early[name] / 1e6, 1), "end": round(late[name] / 1e6, 1)}
            for name in late
        }

    def _sample_memory(self, at: float) -> None:
        processes = self.installation.processes
        names = [name for name in processes if name == "sidecar" or name.startswith("worker")]
        self.memory.append((at, {name: processes[name].memory_bytes() for name in names}))

    def _refuse_dead_processes(self) -> None:
        for name, process in self.installation.processes.items():
            if not process.running:
                raise ProcessFailed(f"{name} has ended:\n{process.last_words()}")

    def get(self, process: Process, what: str) -> dict[str, Any]:
        """Return what a simulator says of itself."""
        with urlopen(f"{process.url}/_simulator/{what}", timeout=10) as response:
            return cast("dict[str, Any]", orjson.loads(response.read()))

    def _lines(self, what: str) -> list[dict[str, Any]]:
        with urlopen(f"{self.cloud_api.url}/_simulator/{what}", timeout=60) as response:
            return [orjson.loads(line) for line in response]


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise click.ClickException(f"{keep} is not empty; name a folder that is")
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="sidecar-demo-") as folder:
        yield Path(folder)


def run(folder: Path, messages: int, rate: float, replies: int) -> tuple[dict[str, Any], list[str]]:
    """Run the demo and return its figures, and what does not fit."""
    demo = Demo(folder, messages=messages, rate=rate, replies=replies)
    with demo.installation:
        click.echo("starting Valkey, backend, Cloud API, sidecar and three workers ...")
        demo.start()
        for name, process in demo.installation.processes.items():
            click.echo(f"  {name:<18} pid {process.pid:<8} {process.url}")
        started = time.monotonic()
        state = demo.start_campaign()
        click.echo(f"campaign of {messages} messages started: {state['state']}")
        _show(demo.watch())
        seconds = time.monotonic() - started
        comparison = demo.compare()
        report = demo.backend_report()
        sim = demo.get(demo.cloud_api, "report")
        memory = demo.memory_mb()
    requests = sum(sum(by_status.values()) for by_status in report["requests"].values())
    figures = {
        **comparison.as_dict(),
        "backend_requests": requests,
        "backend_requests_with_customers_messages": report["calls_with_messages"],
        "seconds": round(seconds, 1),
        "backend_requests_by_endpoint": {
            endpoint: sum(by_status.values()) for endpoint, by_status in report["requests"].items()
        },
        "sql_statements": report["sql_statements"],
        "throughput": sim["numbers"][PHONE_NUMBER_ID],
        "refused_by_cloud_api": sim["refused"],
        "webhooks": sim["webhooks"],
        "memory_mb": memory,
    }
    return figures, comparison.differences


def _show(lines: Iterator[str]) -> None:
    live = sys.stdout.isatty()
    line = ""
    for number, line in enumerate(lines):
        if live:
            click.echo(f"\r{line}", nl=False)
        elif number % 4 == 0:
            click.echo(line)
    click.echo(f"\r{line}" if live else line)


def _table(figures: dict[str, Any]) -> str:
    with_messages = figures["backend_requests_with_customers_messages"]
    others = figures["backend_requests"] - with_messages
    rows = [
        ("", "Cloud API counted", "backend's tables say"),
        ("messages sent", figures["accepted"], figures["settled"]),
        ("statuses", figures["statuses_received"], figures["statuses_applied"]),
        ("customers' messages", figures["replies_received"], figures["replies_applied"]),
    ]
    lines = [f"{name:<22}{a!s:>18}{b!s:>24}" for name, a, b in rows]
    throughput = figures["throughput"]
    memory = ", ".join(
        f"{name} {mb['early']} -> {mb['end']}" for name, mb in figures["memory_mb"].items()
    )
    return "\n".join(
        [
            *lines,
            f"sent twice {figures['sent_twice']}, lost {figures['lost']}",
            f"requests to the backend: {others}, and {with_messages} with customers' messages",
            f"rate: {throughput['average_per_s']:.1f}/s on average, at most "
            f"{throughput['worst_second']} in any second, {throughput['throttled']} throttled",
            f"memory in MB, early -> end: {memory}",
            f"took {figures['seconds']} s",
        ]
    )


@click.command(name="demo")
@click.option("--messages", default=1000, show_default=True, help="Messages of the campaign.")
@click.option("--rate", default=250.0, show_default=True, help="Messages/s that the number allows.")
@click.option(
    "--replies", type=int, help="Customers' messages meanwhile.  [default: a tenth of messages]"
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to a file."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep tables and logs in a folder.")
def command(
    messages: int, rate: float, replies: int | None, json_file: Path | None, keep: Path | None
) -> None:
    """Run the main job end to end on this machine, and compare the counts."""
    with _folder(keep) as folder:
        try:
            count = messages // 10 if replies is None else replies
            figures, differences = run(folder, messages, rate, count)
        except ProcessFailed as error:
            raise click.ClickException(str(error)) from None
    click.echo()
    click.echo(_table(figures))
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")
    if differences:
        raise click.ClickException("the counts differ: " + "; ".join(differences))
    click.echo("every message was sent once, and everything that was acknowledged has arrived")
