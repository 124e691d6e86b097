"""What is needed to understand a round that broke a promise, written to a folder."""

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from simulator.chaos.verdict import Verdict

#: What the parts write, below the installation's folder.
_LOGS = (
    "*.log",
    "*.out",
    "php/**/*.log",
    "php/*.err",
    "nginx/*.log",
    "redis/*.log",
    "group/*/*.log",
    "mariadb/*.log",
)
#: Subjects whose lines are searched for.
_MAX_SUBJECTS = 200


class Logs:
    """The parts' logs from now on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begin = {file: file.stat().st_size for file in self._files()}

    def _files(self) -> Iterator[Path]:
        for pattern in _LOGS:
            yield from (file for file in self._folder.glob(pattern) if file.is_file())

    def since(self) -> Iterator[tuple[str, bytes]]:
        """Yield what has been written to each, by a name of its own."""
        for file in self._files():
            with file.open("rb") as log:
                log.seek(self._begin.get(file, 0))
                if text := log.read():
                    yield "-".join(file.relative_to(self._folder).parts), text


def write_history(folder: Path, line: dict[str, Any], verdict: Verdict, logs: Logs) -> Path:
    """Write ``round.json``, ``violations.json`` (each with all that is known of its subject),
    ``odd.json``, and the parts' logs of the round. Return the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    texts = dict(logs.since())
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    lines = [line for text in texts.values() for line in text.splitlines()]
    _write(
        folder / "round.json", {**line, "injected": list(map(asdict, verdict.evidence.injected))}
    )
    found = []
    for position, violation in enumerate(verdict.violations):
        known = _known(verdict, violation.subject, lines) if position < _MAX_SUBJECTS else {}
        found.append({**asdict(violation), **known})
    _write(folder / "violations.json", found)
    if (odd := verdict.evidence.odd) is not None:
        _write(folder / "odd.json", {"uses": odd.uses, "ignored": odd.ignored, "dead": odd.dead})
    return folder


def _known(verdict: Verdict, subject: str, lines: list[bytes]) -> dict[str, Any]:
    """Return what everybody has on a row or a message, whichever of the two is named."""
    evidence = verdict.evidence
    messages = [m for m in evidence.messages if subject in (m["callback_data"], m["wamid"])]
    names = {subject, *(m["callback_data"] for m in messages), *(m["wamid"] for m in messages)}
    needles = [str(name).encode() for name in names]
    return {
        "cloud_api": messages + [m for m in evidence.inbound if m["wamid"] in names],
        "mishaps": [m for m in evidence.mishaps if m["callback_data"] in names],
        "queue": [asdict(row) for uid, row in evidence.queue.items() if uid in names],
        "log": [row._asdict() for row in evidence.outgoing if names & set(row[:2])],
        "ledger": {uid: state for uid, state in evidence.redis.ledgers.items() if uid in names},
        "lines": [
            line.decode(errors="replace")[:2000]
            for line in lines
            if any(needle in line for needle in needles)
        ],
    }


def _write(file: Path, content: object) -> None:
    file.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2, default=str) + b"\n")
