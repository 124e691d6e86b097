"""Customers who send media, and where it ends. Every part is a real process."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from simulator.backend.database import open_database
from simulator.control import lines, order
from simulator.conversation import Conversation
from simulator.embedded import EmbeddedInstallation
from simulator.installation import Installation
from simulator.process_group import members
from simulator.stack.installation import StackInstallation

_ROWS = "SELECT __data FROM whatsapp_message_logs WHERE is_incoming_message = 1 ORDER BY _id"
#: The worker that fetches.
EFFECTS = ("effects",)
WORKERS = (("messages", "statuses"), EFFECTS)


class MediaRun:
    """Start it, send media, and look at what became of it."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.folder: Path = installation.share_media()
        self.conversation = Conversation(installation)

    def start(self) -> None:
        self.conversation.start(WORKERS)

    def send(self, size: int, kind: str = "video") -> None:
        """Have a customer send a file of so many bytes."""
        self.conversation.write_media(kind, size)

    def fault(self, kind: str, **fields: Any) -> None:
        """Have the Cloud API fail (``MediaFaultSpec``)."""
        order(self.conversation.cloud_api, "media-faults", {"kind": kind, **fields})

    def rows(self) -> list[dict[str, Any]]:
        """Return what PHP knows of the media of each message."""
        return [orjson.loads(text).get("media") or {} for text in self._rows()]

    def _rows(self) -> Iterator[str]:
        if isinstance(self.installation, StackInstallation):
            yield from (row["__data"] for row in self.installation.database.rows(_ROWS))
        elif isinstance(self.installation, EmbeddedInstallation):
            with closing(open_database(self.installation.database)) as database:
                yield from (row[0] for row in database.execute(_ROWS).fetchall())

    def sent(self) -> list[dict[str, Any]]:
        """Return the media that the Cloud API has, as it has counted it."""
        return lines(self.conversation.cloud_api, "media")

    def files(self) -> list[str]:
        """Return all files in the folder, those on their way too."""
        return sorted(
            str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()
        )

    def wait(self, stored: int, timeout_s: float) -> bool:
        """Wait until PHP knows so many files."""
        return self.conversation.wait(
            lambda: sum(row.get("state") == "stored" for row in self.rows()) == stored, timeout_s
        )

    def processes(self) -> dict[str, list[int]]:
        """Return the ids of the processes that media must not make larger."""
        found = {"worker": self.installation.processes["worker-effects"].pid}
        if isinstance(self.installation, StackInstallation):
            found["php-fpm"] = self.installation.processes["php-fpm"].pid
        return {name: members(pid) for name, pid in found.items()}


class Peak:
    """By how much any of some processes grows beyond the largest of now. One of them that has done
    nothing yet becomes as large as the others; that is no growth."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._before = max(_memory(pid, "VmRSS") for pid in pids)
        for pid in pids:
            # Its highest memory counts from now on (proc(5)).
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def grown_bytes(self) -> int:
        return max(_memory(pid, "VmHWM") for pid in self._pids) - self._before


def _memory(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found is not None
    return int(found[1]) * 1024
