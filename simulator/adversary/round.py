"""One round: a vendor at work, an attack, a look at everything, and the end in the midst of it."""

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any, cast

from contracts import sidecar_api as api
from contracts.backend import QueueStatus
from simulator.adversary import evidence as look
from simulator.adversary.cast import CALM_S, CAMPAIGN, CUSTOMERS, Attacker, Cast
from simulator.adversary.evidence import Left, Siege
from simulator.adversary.flood import Flood, dawdle
from simulator.adversary.payloads import Post
from simulator.adversary.plan import Plan
from simulator.adversary.shapes import ATTACK_S
from simulator.adversary.stage import OURS, AdversaryStage
from simulator.adversary.verdict import Verdict
from simulator.adversary.watch import Watch
from simulator.chaos.evidence import log_rows, queue_rows
from simulator.chaos.history import Logs, write_history
from simulator.processes import ProcessFailed

#: After the attack the victim's work comes to its end within this time, or late is too late.
REST_S = 15.0
#: Whom PHP fails on is named within this time.
NAMED_S = 5.0
#: What is posted once more while the processes end, at most.
AGAIN_BYTES = 5_000_000
AGAIN = 60
#: How long that goes on before they are told to.
AGAIN_S = 0.4
_POLL_S = 0.2
_LOGGING_ERROR = b"--- Logging error ---"


def run_round(stage: AdversaryStage, plan: Plan, histories: Path) -> tuple[dict[str, Any], bool]:
    """Run a round. Return its line, and whether the promises were kept; if not, what is needed to
    understand it is in a folder below ``histories``, which the line names."""
    return _Round(stage, plan).run(histories)


class _Round:
    def __init__(self, stage: AdversaryStage, plan: Plan) -> None:
        self._stage = stage
        self._plan = plan
        self._nginx = stage.installation.nginx
        self._flood = Flood(self._nginx.port)
        self._over = Event()
        #: What `sidecar status` said when it failed.
        self._blind: list[str] = []

    def run(self, histories: Path) -> tuple[dict[str, Any], bool]:
        started = time.monotonic()
        logs = Logs(self._stage.installation.folder)
        log_begin = _size(self._nginx.access_log)
        mode = "report" if self._plan.report else "enforce"
        self._stage.clear()
        with ThreadPoolExecutor(1) as thread:
            start = thread.submit(self._stage.start_ours, {"SIDECAR_WEBHOOK_SIGNATURE": mode})
            who = Cast(self._stage, self._plan)
            start.result()
        verdict = self._verdict(who, logs, log_begin)
        line = {
            "seed": self._plan.seed,
            "victim": who.victim.uid,
            "attackers": {one.vendor.uid: one.names for one in who.attackers},
            "signature": mode,
            "garbage": self._plan.garbage,
            **verdict.line(),
            "seconds": round(time.monotonic() - started, 1),
        }
        if verdict.violations:
            folder = histories / f"seed-{self._plan.seed}"
            line["history"] = str(write_history(folder, line, verdict, logs))
        return line, not verdict.violations

    def _verdict(self, who: Cast, logs: Logs, log_begin: int) -> Verdict:
        stage = self._stage
        with Watch(stage, who.victim.id) as watch, ThreadPoolExecutor() as threads:
            redis_before = watch.redis_bytes
            try:
                attack = self._begin(who, threads)
                rested = self._wait_for_quiescence(who, watch)
                waits = look.waits(self._of_victim(who, "inbound"), watch.seen_at, time.time())
                status, unnamed = self._named(who)
                ended = stage.ended()
                peaks = {n: look.peak_bytes(stage.installation.processes[n].pid) for n in OURS}
                log_end = _size(self._nginx.access_log)
                attack.append(threads.submit(self._flood.run, self._again(who), paced=False))
                time.sleep(AGAIN_S)
                stopped = stage.stop_ours()
            finally:
                self._over.set()
                self._flood.end()
            for part in attack:
                part.result()
        ended += [name for name in stage.ended() if name not in OURS]
        with stage.redis() as client:
            left = look.left_in(client)
            errors = cast("dict[str, Any]", client.info("errorstats"))
        accounting = self._status()
        ours = [text for name, text in logs.since() if name.startswith(OURS)]
        seen = look.webhooks_in(_lines(self._nginx.access_log, log_begin))
        seen[who.victim.uid] = look.webhooks_in(
            _lines(self._nginx.access_log, log_begin, log_end)
        ).get(who.victim.uid, look.Webhooks())
        names = [who.victim.uid, who.campaign.uid, who.victim.business_account_id]
        siege = Siege(
            waits=waits,
            webhooks=seen,
            received={
                uid: found["webhooks"]["received"]
                for uid, found in accounting["accounting"]["vendors"].items()
            },
            lost=look.lost(self._flood.posted, self._found(who, left)),
            sent_twice=[
                message["callback_data"]
                for message in stage.lines("messages")
                if message["accepts"] > 1 and message not in self._of_victim(who, "messages")
            ],
            peaks=peaks,
            redis_bytes=watch.redis_bytes - redis_before,
            bytes_in=sum(len(o.post.body) for o in self._flood.posted if o.acknowledged),
            out_of_memory=int(errors.get("errorstat_OOM", {}).get("count", 0)),
            restrained=look.restrained(status, left, [*names, *who.victim.phone_number_ids]),
            unnamed=unnamed,
            deaths=look.deaths(status),
            stopped=stopped,
            blind=self._blind,
            logging_errors=sum(text.count(_LOGGING_ERROR) for text in ours),
            errors=look.errors_in(ours),
        )
        victim = look.of_victim(stage, who, left, accounting, ended=ended, rested=rested)
        return Verdict(victim, siege, who.victim.uid, slowness=stage.slowness)

    # -- the attack --

    def _begin(self, who: Cast, threads: ThreadPoolExecutor) -> list[Future[None]]:
        """Have the victim work, and be attacked. Return when its customers have written all."""
        who.work()
        time.sleep(CALM_S)
        posts = [post for attacker in who.attackers for post in attacker.posts(self._name)]
        attack = [threads.submit(self._flood.run, posts)]
        for attacker in who.attackers:
            if attacker.campaign is not None:
                self._stage.call(api.CAMPAIGN_SEND, attacker.campaign.uid)
            if any(shape.frames or shape.meddles for shape in attacker.shapes):
                attack.append(threads.submit(self._frame, who, attacker))
            for shape in attacker.shapes:
                if shape.slow_clients:
                    arguments = (attacker.vendor.uid, shape.slow_clients, self._over)
                    attack.append(threads.submit(dawdle, self._nginx.port, *arguments))
        time.sleep(ATTACK_S + CALM_S)
        return attack

    @property
    def _name(self) -> str:
        return f"attack {self._plan.seed}"

    def _frame(self, who: Cast, attacker: Attacker) -> None:
        for _ in range(3):
            if self._over.wait(ATTACK_S / 4):
                return
            self._flood.run(list(who.frame(attacker, self._plan)), paced=False)

    def _again(self, who: Cast) -> list[Post]:
        """Return more of the same, to be posted while the processes end."""
        posts = [p for attacker in who.attackers for p in attacker.posts(f"{self._name} again")]
        found: list[Post] = []
        room = AGAIN_BYTES
        for post in posts[:AGAIN]:
            if (room := room - len(post.body)) > 0:
                found.append(post)
        return found

    def _failing_vendors(self, who: Cast) -> list[str]:
        """Return the attackers on whose updates PHP fails. What waits in order behind a thousand
        of its sender's is no failure, and the accounting cannot tell them apart."""
        return [
            attacker.vendor.uid
            for attacker in who.attackers
            if any(shape.failing for shape in attacker.shapes)
            and "one_sender" not in attacker.names
        ]

    # -- what became of it --

    def _status(self) -> dict[str, Any]:
        try:
            return self._stage.status()
        except (ProcessFailed, subprocess.TimeoutExpired) as error:
            self._blind.append(str(error).strip().splitlines()[-1])
            return look.NO_STATUS

    def _named(self, who: Cast) -> tuple[dict[str, Any], list[str]]:
        """Return the status, and those whom it should name and does not, even a little later: a
        process tells of what it has found within a second."""
        failing = self._failing_vendors(who)
        end = time.monotonic() + NAMED_S * self._stage.slowness
        while True:
            status = self._status()
            unnamed = look.unnamed(status, failing)
            if not unnamed or time.monotonic() > end:
                return status, unnamed

    def _of_victim(self, who: Cast, what: str) -> list[dict[str, Any]]:
        number = who.victim.phone_number_ids[0]
        return [one for one in self._stage.lines(what) if one["phone_number_id"] == number]

    def _wait_for_quiescence(self, who: Cast, watch: Watch) -> bool:
        end = time.monotonic() + REST_S * self._stage.slowness
        while not self._is_quiescent(who, watch):
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_S)
        return True

    def _is_quiescent(self, who: Cast, watch: Watch) -> bool:
        inbound = self._of_victim(who, "inbound")
        messages = self._of_victim(who, "messages")
        outgoing, _ = log_rows(self._stage, [who.victim.uid])
        return (
            len(inbound) == CUSTOMERS
            and all(one["acknowledged"] and one["wamid"] in watch.seen_at for one in inbound)
            and len(messages) == CAMPAIGN
            and all(message["statuses"].get("read") for message in messages)
            and sum(row.status == "read" for row in outgoing) == CAMPAIGN
            and not any(self._hangs(attacker) for attacker in who.attackers)
        )

    def _hangs(self, attacker: Attacker) -> bool:
        """Return whether a campaign still has something to do, whatever the Cloud API answers. It
        has not where garbage alone comes, which is an outage that lasts."""
        if attacker.campaign is None or not any(shape.garbage for shape in attacker.shapes):
            return False
        uid = attacker.vendor.uid
        lines = [f"outage:{uid}/{number}" for number in attacker.vendor.phone_number_ids]
        with self._stage.redis() as client:
            if client.exists(f"halt:{attacker.campaign.uid}"):
                return False
            if any(client.hexists(line, "since") for line in lines):
                return False
        rows = queue_rows(self._stage, [attacker.vendor.uid]).values()
        return any(
            row.status == QueueStatus.PROCESSING or (row.status == QueueStatus.QUEUED and row.due)
            for row in rows
        )

    def _found(self, who: Cast, left: Left) -> set[str]:
        """Return where attackers' messages may be: PHP's log, its own webhook table, and Redis."""
        attackers = [attacker.vendor.uid for attacker in who.attackers]
        _, incoming = log_rows(self._stage, attackers)
        rows = self._stage.installation.database.rows("SELECT payload FROM whatsapp_webhook_queue")
        stored = look.wamids_in(row["payload"].encode() for row in rows)
        return {*incoming, *stored, *left.waiting, *left.dead}


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _lines(file: Path, begin: int, end: int | None = None) -> Iterator[bytes]:
    with file.open("rb") as log:
        log.seek(begin)
        yield from log.read(-1 if end is None else end - begin).splitlines()
