"""An installation with a console, a campaign in flight, and something on every page."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
from click.testing import Result

from simulator.backend.faults import FaultKind as PhpFault
from tests.system.running import wait_for
from tests.system.status_world import World

PASSWORD = "correct horse battery"
OPERATOR, VIEWER = "olga", "victor"

#: What happens to campaigns: two messages of it fail; its number's account is locked; its template
#: is paused; sends have no answer; the limit of its number's account is cut, for an hour.
IN_FLIGHT, PAUSED, STOPPED, UNKNOWN, HELD = "in flight", "paused", "stopped", "unknown", "held"
FAILED = 2
#: And to vendors whose customers write: nothing; PHP fails on what they write; they are in shadow.
QUIET, REFUSED, SHADOWED = "quiet", "refused", "shadowed"


class ConsoleWorld(World):
    WORKERS = ("worker-1",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.installation.configure(console=True, update_max_attempts=1, cron_settle_s=0.5)
        self.installation.configure(lease_ttl_ms=3000, send_timeout_s=2)

    @property
    def url(self) -> str:
        """Where the console is, without a slash at the end."""
        return f"{self.installation.processes['sidecar'].url}/sidecar"

    def begin(self) -> None:
        """Start it all, and wait until there is something on every page."""
        self.start([IN_FLIGHT, PAUSED, STOPPED, UNKNOWN, HELD], [QUIET, REFUSED, SHADOWED])
        self._add_user(OPERATOR, "operate")
        self._add_user(VIEWER, "look")
        self._campaign_fault(IN_FLIGHT, kind="error", code=132005, times=FAILED)
        # Once: whoever resumes or lifts it need not end the faults of the others.
        self._campaign_fault(PAUSED, kind="error", code=131031, times=1)
        self._campaign_fault(STOPPED, kind="error", code=132015)
        self._campaign_fault(UNKNOWN, kind="timeout_after_accept", times=3)
        self._campaign_fault(HELD, kind="error", code=131064, times=1)
        number = self.victims[REFUSED].number
        self.order("backend", "faults", kind=PhpFault.UPDATE_ERROR.value, body_contains=number)
        self.write(REFUSED, "<b>Where is my parcel?</b> مرحبا", count=3)
        self.write(QUIET, "Hello", count=5)
        moved = self.run("cutover", self.victims[SHADOWED].vendor.uid, "--webhooks", "shadow")
        assert moved.exit_code == 0, moved.output
        self.write(SHADOWED, "Hello")
        wait_for(self._is_ready, "something on every page")

    def run(self, *arguments: str, **settings: str) -> Result:
        """Run a command in a thread of its own: Playwright has an event loop in this one."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(super().run, *arguments, **settings).result()

    def _add_user(self, name: str, role: str) -> None:
        arguments = ["console", "add-user", name, "--role", role]
        done = self.invoke(arguments, self.installation.environment, PASSWORD)
        assert done.exit_code == 0, done.output

    def _campaign_fault(self, name: str, **fields: object) -> None:
        number = self.victims[name].number
        self.order("cloud-api", "faults", **fields, phone_number_id=number)

    def _is_ready(self) -> bool:
        wanted = {"sending-paused", "campaign-paused", "number-held", "dead-letters"}
        if not wanted <= set(self.status().codes):
            return False
        unknown = self.run("unknown", "list", "--json").stdout.strip()
        compared = orjson.loads(self.run("parity", "--json").stdout)["vendors"]
        return bool(unknown and compared)
