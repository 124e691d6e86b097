"""The demo's load on the containers, from outside: campaigns, their statuses, and customers who
write. The Cloud API is simulated on this machine, and comes in by nginx's published port."""

import secrets
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from contracts.backend import QueueStatus
from simulator import control
from simulator.backend.seed import SeededVendor
from simulator.comparison import Comparison, compare
from simulator.containers.engine import EngineFailed
from simulator.containers.stack import Stack
from simulator.ports import free_ports
from simulator.processes import Process, python
from simulator.stack.database import Database, SqlError
from simulator.stack.mariadb_tables import MariaDbTables
from simulator.stack.seeding import Seeding

PHONE_NUMBER_ID = "106540352242922"
ACCESS_TOKEN = "compose-access-token"
#: The gateway of the network `stack`, where its containers find this machine.
GATEWAY = "172.30.86.1"
#: What has not come to its end when nothing has moved for so long never will.
STALLED_S = 120.0
_POLL_S = 1.0
#: How long PHP's call is made again while something is away.
_CALL_S = 120.0
#: Meta comes again soon, so that the end need not be waited for.
_CLOUD_API: dict[str, Any] = {
    "access_token": ACCESS_TOKEN,
    "phone_numbers": [{"phone_number_id": PHONE_NUMBER_ID}],
    "webhook_timeout_ms": 10_000,
    "retry_max_ms": 3_000,
}
#: Starts a campaign as the application does.
_SEND = (
    'require "bootstrap/autoload.php"; $app = require "bootstrap/app.php";'
    "$app->make(Illuminate\\Contracts\\Console\\Kernel::class)->bootstrap();"
    "$sidecar = $app->make(WhatsappSidecar\\Laravel\\Sidecar::class);"
    "echo json_encode($sidecar->sendCampaign($argv[1]));"
)
_MOVING = (QueueStatus.QUEUED, QueueStatus.PROCESSING)


def make_variables(ports: tuple[int, int]) -> dict[str, str]:
    """Return what the compose files ask for: made-up secrets, and the ports of nginx and of the
    Cloud API on this machine."""
    names = ("SIDECAR_APP_SECRETS", "DB_PASSWORD", "DB_ROOT_PASSWORD", "REDIS_PASSWORD")
    return {
        **{name: secrets.token_hex(16) for name in (*names, "GRAFANA_PASSWORD")},
        "SIDECAR_SIGNING_KEYS": f"test:{secrets.token_hex(32)}",
        "APP_KEY": f"base64:{b64encode(secrets.token_bytes(32)).decode()}",
        "NGINX_PORT": str(ports[0]),
        "CLOUD_API_URL": f"http://{GATEWAY}:{ports[1]}",
    }


class Load:
    """Use as a context manager, while the database runs. ``rate``: of the vendor's number."""

    def __init__(self, stack: Stack, variables: dict[str, str], rate: float) -> None:
        self._stack = stack
        self._variables = variables
        self._rate = rate
        self._key = variables["APP_KEY"].removeprefix("base64:")
        self._database = Database(stack.socket, "whatsapp", self._key)
        self.tables = MariaDbTables(self._database)
        self._seeding = Seeding(self._database)
        self._vendor: SeededVendor
        self._cloud_api: Process
        #: Of all campaigns so far.
        self.messages = 0

    def __enter__(self) -> "Load":
        [self._vendor] = self._seeding.vendors(
            phone_number_ids=[PHONE_NUMBER_ID],
            messages_per_second=self._rate,
            access_token=ACCESS_TOKEN,
            app_secret=self._variables["SIDECAR_APP_SECRETS"],
        )
        self._cloud_api = self._start_cloud_api(self._stack.engine.folder)
        return self

    def __exit__(self, *error: object) -> None:
        self._cloud_api.stop()
        self._seeding.close()
        self._database.close()

    def _start_cloud_api(self, folder: Path) -> Process:
        port = self._variables["CLOUD_API_URL"].rpartition(":")[2]
        door = f"http://127.0.0.1:{self._variables['NGINX_PORT']}"
        settings = _CLOUD_API | {
            "app_secret": self._variables["SIDECAR_APP_SECRETS"],
            "messages_per_s": self._rate,
            "webhook_url": f"{door}/whatsapp-webhook/{self._vendor.uid}",
        }
        config = folder / "cloud-api.json"
        config.write_bytes(orjson.dumps(settings))
        command = ("simulator", "cloud-api", "--host", GATEWAY, "--port", port)
        options = ("--config", str(config), "--log-level", "warning")
        log = folder / "cloud-api.log"
        return _AtGateway("cloud-api", python(*command, *options), log, port=int(port)).start()

    def start_campaign(self, messages: int) -> None:
        """Add a campaign and have PHP start it, and a tenth as many customers write meanwhile."""
        campaign = self._retried(
            lambda: self._seeding.campaign(self._vendor.uid, messages, paused=True)
        )
        self.messages += messages
        inbound = {"count": messages // 10, "per_s": max(self._rate / 10, 1.0)}
        control.order(self._cloud_api, "inbound", inbound)
        send = ("php", "-r", _SEND, campaign.uid)
        self._retried(lambda: self._stack.compose.execute("php", *send))

    def _retried(self, work: Callable[[], Any]) -> Any:
        end = time.monotonic() + _CALL_S
        while True:
            try:
                return work()
            except (EngineFailed, SqlError):
                if time.monotonic() > end:
                    raise
                time.sleep(_POLL_S)

    def is_sending(self) -> bool:
        """Tell whether there are rows to send for more than a second: a kill may leave a few that
        wait for what became of them."""
        return sum(self._rows(*_MOVING)) > self._rate

    def wait_for_the_end(self) -> None:
        """Wait until everything has arrived, or nothing moves any more."""
        last, changed_at = None, time.monotonic()
        while time.monotonic() - changed_at < STALLED_S:
            report = control.read(self._cloud_api, "report")
            comparison = self.compare()
            moving = sum(self._rows(*_MOVING))
            if report["idle"] and not moving and not comparison.lost:
                return
            if (now := (report["accepted"], report["webhooks"], moving, comparison)) != last:
                last, changed_at = now, time.monotonic()
            time.sleep(_POLL_S)

    def compare(self) -> Comparison:
        """Compare what the Cloud API counted with what is in PHP's tables."""
        sent, inbound = (control.lines(self._cloud_api, what) for what in ("messages", "inbound"))
        return compare(self.tables, self.messages, sent, inbound)

    def unknown(self) -> int:
        """Return the messages of which the tables say that nobody knows whether they were sent:
        what a worker or Redis had in hand when it was killed."""
        return sum(self._rows(QueueStatus.AWAITING_STATUS, QueueStatus.UNKNOWN))

    def webhooks(self) -> dict[str, Any]:
        """Return what the Cloud API has counted of its webhooks."""
        found: dict[str, Any] = control.read(self._cloud_api, "report")["webhooks"]
        return found

    def _rows(self, *statuses: int) -> list[int]:
        rows = self.tables.counts(self._vendor.uid).queue
        return [rows.get(status, 0) for status in statuses]


class _AtGateway(Process):
    """Listens where containers find it."""

    @property
    def url(self) -> str:
        return f"http://{GATEWAY}:{self.port}"


def ports() -> tuple[int, int]:
    """Return free ports for nginx and the Cloud API."""
    nginx, cloud_api = free_ports(2)
    return nginx, cloud_api


def differences(found: Comparison, unknown: int) -> list[str]:
    """Return what does not fit, in words. Of a message of unknown outcome the Cloud API may have
    heard nothing, and then it is the only one that has no status to settle it."""
    pairs = {
        "messages and accepted or unknown": (found.messages, found.accepted + unknown),
        "accepted and settled": (found.accepted, found.settled),
        "statuses received and applied": (found.statuses_received, found.statuses_applied),
        "customers' messages received and stored": (found.replies_received, found.replies_applied),
        "sent twice and nothing": (found.sent_twice, 0),
        "lost and nothing": (found.lost, 0),
    }
    return [f"{what}: {a} != {b}" for what, (a, b) in pairs.items() if a != b]
