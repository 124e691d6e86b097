"""A PHP process that matches bots with the Laravel package's loop."""

import subprocess
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from contracts.bots import BotMatch, MatchingRules, VendorBots
from simulator.stack.packages import program

_SCRIPT = Path(__file__).with_name("loop.php")


@dataclass(frozen=True)
class PhpAnswer:
    """The matches of each message, and how long PHP took for all of them together."""

    matches: list[list[BotMatch]]
    seconds: float


class PhpLoop:
    """Use as a context manager. ``rules``: how this PHP matches.

    ``backtrack_limit``: ``pcre.backtrack_limit``. PHP's own is 1,000,000, with which long texts
    fail to match triggers with many wildcards.
    """

    def __init__(self, backtrack_limit: int = 1_000_000_000) -> None:
        self._process = subprocess.Popen(
            [program("php"), "-d", f"pcre.backtrack_limit={backtrack_limit}", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Where LoopMatcher says that it ignores wrong hours.
            stderr=subprocess.DEVNULL,
        )
        self.rules = MatchingRules.model_validate_json(self._line())

    def match(self, vendor: VendorBots, messages: Sequence[tuple[bytes, int]]) -> PhpAnswer:
        """Match messages, each with its unix seconds, to a vendor's bots."""
        assert self._process.stdin is not None
        question = {
            "vendor": vendor.model_dump(),
            "messages": [[b64encode(text).decode(), at] for text, at in messages],
        }
        self._process.stdin.write(orjson.dumps(question) + b"\n")
        self._process.stdin.flush()
        answer = orjson.loads(self._line())
        return PhpAnswer(
            [
                [BotMatch.model_validate(match) for match in matches]
                for matches in answer["matches"]
            ],
            answer["ns"] / 1e9,
        )

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"PHP has ended with {self._process.wait()}; run {_SCRIPT} by hand")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
