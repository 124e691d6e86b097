"""Walking through MIGRATION.md and back, with a wave of load at every step."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from simulator.migration.crons import Crons
from simulator.migration.load import Load
from simulator.migration.page import Step, read_page
from simulator.migration.terminal import Done, Terminal
from simulator.stack.engines import HOST_ROUTINE
from simulator.stack.installation import StackInstallation

#: How long a wave may take to come to its end.
REST_S = 60.0
#: How long a wave is under way when the commands are executed.
UNDER_WAY_S = 0.5
#: How long a campaign that is paused is watched: some runs of the cron.
PAUSED_S = 4.0
#: How often it is looked whether it has.
_POLL_S = 0.25

#: Short enough for a rehearsal. A cron's run takes two seconds at most.
SETTINGS = {
    "cron_settle_s": 3,
    "due_campaigns_interval_s": 1,
    "shadow_window_s": 2,
    "parity_min_updates": 1,
    "parity_min_hours": 0,
}

#: The step in which PHP's work is compared, and the value that its cron fills in otherwise for a
#: while (simulator/stack/laravel_app/app/CampaignSends.php).
SHADOW = ": shadow"
FILLED_IN = "components.0.parameters.0.text"

#: What the page promises of the way back (in seconds), where a machine does what it does then in a
#: fifth of that if there is nothing to be done: on a slower one all of it takes longer.
PROMISED_S = 10.0
SLOWER = 5

#: A step after which the crons' lines are commented out, and one before which they are put in.
CRONS_OFF = "crons off"
BACK = "All the way back"


@dataclass(frozen=True, slots=True)
class Report:
    """What a step has come to. ``commands_s`` is how long its commands took; ``unfinished`` had not
    come to its end a minute later. ``lowered`` messages have so far been left at a status below
    their highest by PHP's own routine."""

    step: str
    commands: list[Done]
    commands_s: float
    seconds: float
    unfinished: dict[str, Any]
    messages: int
    by_sidecar: int
    customers: int
    lowered: int
    lost: tuple[str, ...]
    twice: tuple[str, ...]

    @property
    def held(self) -> bool:
        """Return whether everything went as the page says."""
        return not (self.unfinished or self.lost or self.twice or self.failed)

    @property
    def failed(self) -> list[Done]:
        return [done for done in self.commands if done.code != 0]

    def as_json(self) -> dict[str, Any]:
        """Return a line for people and programs."""
        values = asdict(self)
        del values["commands"]
        commands = {"commands": len(self.commands), "failed": [d.command for d in self.failed]}
        counts = {"lost": len(self.lost), "twice": len(self.twice)}
        return {**values, **commands, **counts}


class Rehearsal:
    """Use as a context manager: starts PHP, its database, nginx, Redis, the Cloud API and the
    crons, and stops them. The sidecar is started by the page. With ``brief``, its commands need not
    start Python each time, and a step's way back begins while the step's wave is under way."""

    def __init__(
        self, folder: Path, *, vendors: int, messages: int, customers: int, brief: bool = False
    ) -> None:
        self.installation = StackInstallation(
            folder,
            php={
                **HOST_ROUTINE,
                "WHATSAPP_SIDECAR_VENDORS": "none",
                "WHATSAPP_SIDECAR_BOTS": "none",
            },
        )
        self.installation.configure(**SETTINGS)
        self._vendors, self._messages, self._customers = vendors, messages, customers
        self._brief = brief
        self._steps = read_page()

    def __enter__(self) -> Self:
        self.installation.__enter__()
        try:
            self.installation.start_redis()
            self.installation.start_backend()
            self.load = Load(
                self.installation,
                vendors=self._vendors,
                messages=self._messages,
                customers=self._customers,
            )
            self.load.start_cloud_api()
            self.crons = Crons(self.installation)
            self.crons.start()
            variables = {"VENDOR": self.load.vendors[0].uid}
            self.terminal = Terminal(self.installation, variables, warm=self._brief)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if hasattr(self, "crons") and self.crons.running:
            self.crons.stop()
        self.installation.__exit__(*error)

    def walk(self) -> Iterator[Report]:
        """Take every step; where it has a way back, go back and take it again."""
        yield self._make("Before: crons alone", [])
        for step in self._steps:
            yield from self._take(step)

    def _take(self, step: Step) -> Iterator[Report]:
        if step.title == BACK:
            self.crons = Crons(self.installation)
            self.crons.start()
            yield from self._go_back(step)
            return
        compares = SHADOW in step.title
        goes_on = self._brief and bool(step.back) and not compares
        yield self._make(step.title, step.commands, rest=not goes_on)
        if compares:
            yield from self._compare_campaigns(step)
        if CRONS_OFF in step.title:
            self.crons.stop()
            yield self._make(f"{step.title}: without crons", [])
        elif step.back:
            yield self._make(f"{step.title}: back", step.back, rest=not self._brief)
            yield self._make(f"{step.title}: again", step.commands, wave=False)

    def _compare_campaigns(self, step: Step) -> Iterator[Report]:
        """Have the cron fill in a parameter in another way: of each message that must be found, and
        named; and nothing of a cron that sends what its rows say."""
        mark = self.installation.application.storage / "fills_otherwise"
        mark.touch()
        yield self._compared(f"{step.title}: a parameter is filled in otherwise", "different")
        mark.unlink()
        yield self._compared(f"{step.title}: as the rows say", "equal")

    def _compared(self, title: str, expected: str) -> Report:
        """Have every message of a wave compared: none gets its first status until then, for what
        has had it is gone."""
        for vendor in self.load.vendors:
            self.terminal.run(f"sidecar parity {vendor.uid} --reset")
        self.load.hold_webhooks()
        wanted = {expected: self.load.wave()}
        self._wait_for(lambda: self._parity()[0] == wanted)
        counts, words = self._parity()
        self.load.release_webhooks()
        report = self._make(title, [], wave=False)
        named = [FILLED_IN in one for one in words]
        if counts != wanted or not all(named) or any(named) is (expected == "equal"):
            report.unfinished["what was compared, and what differs"] = counts, words
        return report

    def _parity(self) -> tuple[dict[str, int], list[str]]:
        """Return how the messages of campaigns that were compared are, without what was not, and
        examples of those that differ in words."""
        page = orjson.loads(self.terminal.run("sidecar parity --json").output)
        counts: Counter[str] = Counter()
        for vendor in page["vendors"]:
            counts.update(vendor["kinds"]["campaign"])
        examples = [example for vendor in page["vendors"] for example in vendor["examples"]]
        words = [one["words"] for one in examples if one["kind"] == "campaign"]
        return {name: count for name, count in counts.items() if count}, words

    def _go_back(self, step: Step) -> Iterator[Report]:
        """Go all the way back while one campaign is under way, and another is paused, of which the
        crons must send nothing until it is resumed."""
        given_back, paused = [self.load.long_campaign(one) for one in self.load.vendors[:2]]
        self._wait_for(lambda: all(self.load.sent_of(one)[0] for one in (given_back, paused)))
        self.load.paused(paused)
        report = self._make(step.title, [f"sidecar campaigns pause {paused.uid}", *step.back])
        kept = self.load.kept_back().total()
        time.sleep(PAUSED_S)
        if not kept or self.load.kept_back().total() != kept:
            report.unfinished["rows of a paused campaign that were sent"] = paused.uid
        if not all(self.load.sent_of(given_back)):
            report.unfinished["a campaign that both were to send"] = self.load.sent_of(given_back)
        yield report
        self.load.resumed()
        commands = [f"sidecar campaigns resume {paused.uid}"]
        yield self._make(f"{step.title}: what was paused goes on", commands, wave=False)
        again = self._make(f"{step.title}: with nothing to do", step.back, wave=False)
        seconds = sum(done.seconds for done in report.commands[1:])
        if seconds > max(PROMISED_S, SLOWER * again.commands_s):
            again.unfinished["seconds that the way back took"] = seconds
        yield again

    def _make(
        self, title: str, commands: list[str], *, wave: bool = True, rest: bool = True
    ) -> Report:
        """Execute commands while a wave is under way. Without ``rest``, what is lost shows when the
        next ones are over."""
        began = time.monotonic()
        if wave:
            self.load.wave()
            time.sleep(UNDER_WAY_S)
        commands_began = time.monotonic()
        done = [self.terminal.run(command) for command in commands]
        commands_s = time.monotonic() - commands_began
        unfinished = self._wait_for_rest(both_write=bool(commands)) if rest else {}
        count = self.load.count()
        return Report(
            step=title,
            commands=done,
            commands_s=round(commands_s, 2),
            seconds=round(time.monotonic() - began, 1),
            unfinished=unfinished,
            messages=count.messages,
            by_sidecar=count.by_sidecar,
            customers=count.customers,
            lowered=self.load.lowered,
            lost=count.lost if rest else (),
            twice=count.twice,
        )

    def _wait_for_rest(self, *, both_write: bool) -> dict[str, Any]:
        """Return what is unfinished when everything is quiet, or too much time has passed."""
        self._wait_for(lambda: not self.load.unfinished())
        if both_write:
            self.load.forgive_lowered()
        return self.load.unfinished()

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so, or too much time has passed."""
        end = time.monotonic() + REST_S
        while not condition() and time.monotonic() < end:
            time.sleep(_POLL_S)
