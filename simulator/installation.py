"""A whole installation in one folder, each part a real process on a loopback port of its own."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from simulator.backend.seed import SeededCampaign, SeededVendor
from simulator.backend.seed_bots import SeedBot
from simulator.processes import Process, python
from simulator.redis_server import RedisServer
from simulator.tables import Tables


class Installation(ABC):
    """Redis, PHP's side, the sidecar, its workers, and the Cloud API.

    Start what is needed, in this order, and use it as a context manager: at the end everything is
    stopped, the last started first, also when something failed half way. ``processes`` are the
    parts by their names; :meth:`start`, :meth:`crash`, :meth:`suspend`, :meth:`resume` and
    :meth:`restart` are for one of them.
    """

    #: Id and secret of the key that signs internal calls.
    SIGNING_KEY = ("demo", "demo-signing-secret-0123456789")
    APP_SECRET = "demo-app-secret"
    ACCESS_TOKEN = "demo-access-token"

    #: What the backend's tables hold.
    tables: Tables

    def __init__(self, folder: Path, keys: dict[str, bytes] | None = None) -> None:
        self.folder = folder
        self.keys = keys or {self.SIGNING_KEY[0]: self.SIGNING_KEY[1].encode()}
        self.processes: dict[str, Process] = {}
        #: Of the sidecar and the workers.
        self.environment: dict[str, str] = {}
        self.configure(port=0, signing_keys=self.signing_keys, app_secrets=self.APP_SECRET)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def signing_keys(self) -> str:
        """The keys as settings have them."""
        return ",".join(f"{key_id}:{secret.decode()}" for key_id, secret in self.keys.items())

    def configure(self, **settings: object) -> None:
        """Set settings of the sidecar and the workers that are added from now on."""
        for name, value in settings.items():
            self.environment[f"SIDECAR_{name.upper()}"] = str(value)

    def share_media(self) -> Path:
        """Have customers' media fetched, from the Cloud API, into a folder that both sides share.
        Call it before anything is started."""
        folder = self.folder / "media"
        folder.mkdir(parents=True, exist_ok=True)
        self.configure(media_dir=folder, media_free_disk_bytes=0)
        return folder

    # -- the parts --

    def start_redis(self) -> Process:
        """Start a Redis that has on disk whatever it has answered."""
        server = self.add(RedisServer(self.folder / "redis", program=self.redis_program()))
        self.configure(redis_url=server.url)
        return server

    def redis_program(self) -> str | None:
        """Return the redis-server to use; None for the embedded Valkey."""
        return None

    @property
    def redis_url(self) -> str:
        """The address of the inbox's and the ledger's database."""
        return self.processes["redis"].url

    @abstractmethod
    def start_backend(self) -> Process:
        """Start PHP's side with its tables. Return the part that takes the sidecar's calls."""

    def start_sidecar(self, name: str = "sidecar") -> Process:
        environment = {**self.environment, "SIDECAR_PORT": "{port}"}
        return self._add_python(
            name,
            *("sidecar.commands.main", "serve"),
            environment=environment,
            port=int(self.environment["SIDECAR_PORT"]),
        )

    @abstractmethod
    def webhook_url(self, vendor_uid: str) -> str:
        """Return where Meta posts a vendor's webhooks. The sidecar has been started."""

    def start_cloud_api(self, *arguments: str) -> Process:
        """Start the simulated Cloud API. It sends its webhooks where ``arguments`` say. What it
        has counted is gone when it is killed."""
        cloud_api = self._add_python(
            "cloud-api",
            *("simulator", "cloud-api", "--port", "{port}", "--log-level", "warning"),
            *("--access-token", self.ACCESS_TOKEN, "--app-secret", self.APP_SECRET),
            *arguments,
        )
        self.configure(cloud_api_url=cloud_api.url)
        return cloud_api

    def start_ai(self, latency_s: float) -> Process:
        """Start a simulated AI that takes so long for each answer."""
        seconds = str(latency_s)
        return self._add_python(
            "ai", *("simulator", "ai", "--port", "{port}", "--latency-s", seconds, seconds)
        )

    def start_vendor_webhook(self) -> Process:
        """Start a vendor's own webhook, which keeps what it is told."""
        return self._add_python(
            "vendor-webhook", *("simulator", "vendor-webhook", "--port", "{port}")
        )

    def start_worker(self, *queues: str, name: str | None = None) -> Process:
        """Start a worker process for these queues; none means all."""
        return self._add_python(
            name or "-".join(("worker", *queues)),
            *("workers", *queues),
            environment=self.environment,
        )

    def _add_python(
        self,
        name: str,
        *arguments: str,
        environment: dict[str, str] | None = None,
        port: int = 0,
    ) -> Process:
        log = self.folder / f"{name}.log"
        return self.add(Process(name, python(*arguments), log, environment=environment, port=port))

    def add(self, process: Process) -> Process:
        """Start a part, and have it stopped at the end."""
        self.processes[process.name] = process
        return process.start()

    # -- what happens to them --

    def start(self, name: str) -> Process:
        """Start a part that has ended, as it was: on its port and on the files that it left."""
        return self.processes[name].start()

    def crash(self, name: str) -> None:
        """Kill a part and its children at once."""
        self.processes[name].kill()

    def suspend(self, name: str) -> None:
        """Have a part and its children stand still."""
        self.processes[name].suspend()

    def resume(self, name: str) -> None:
        """Let a suspended part go on."""
        self.processes[name].resume()

    def restart(self, name: str) -> Process:
        """Start a part again; kill it if it still runs."""
        self.crash(name)
        return self.start(name)

    def stop(self) -> None:
        """Stop everything, the last started first."""
        for name in reversed(list(self.processes)):
            self.processes.pop(name).stop()

    # -- what they are given, and what they have done --

    def seed_vendors(self, **options: Any) -> list[SeededVendor]:
        """Add vendors. ``options`` are those of
        :func:`simulator.backend.seed.seed_installation`; token and secret are the Cloud API's, if
        not given."""
        secrets = {"access_token": self.ACCESS_TOKEN, "app_secret": self.APP_SECRET}
        return self._seed_vendors(secrets | options)

    @abstractmethod
    def _seed_vendors(self, options: dict[str, Any]) -> list[SeededVendor]: ...

    @abstractmethod
    def seed_campaign(self, vendor_uid: str, messages: int, **options: Any) -> SeededCampaign:
        """Add a campaign. ``options`` are those of :class:`simulator.backend.seed.CampaignSeed`."""

    @abstractmethod
    def seed_bots(self, vendor_uid: str, bots: Sequence[SeedBot]) -> tuple[str, ...]:
        """Add bots, and return their uids."""

    @abstractmethod
    def seed_effects(self, vendor_uid: str, **options: Any) -> None:
        """Write a vendor's settings. ``options`` are those of
        :class:`simulator.backend.seed_bots.EffectsSeed`."""

    @abstractmethod
    def backend_requests(self) -> Counter[str]:
        """Return how many calls each of the backend's endpoints has answered."""

    @abstractmethod
    def backend_statements(self) -> int:
        """Return how many SQL statements the backend has run."""

    @abstractmethod
    def backend_errors(self) -> list[str]:
        """Return what the backend has logged of errors, a line each. It may have mended them: a
        batch that fails is made again item by item, and no count tells."""

    @abstractmethod
    def description(self) -> str:
        """Return what it runs on, in words."""
