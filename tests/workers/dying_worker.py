"""A worker that is killed whenever it meets a certain text.

Run it as a module, with the place where it dies as its argument, and queues after it.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from workers.__main__ import main
from workers.inbox import split
from workers.inbox.clean import clean
from workers.inbox.update import Update

TEXT = b"KILLER"


def deadly(function: Callable[..., Any], text_of: Callable[..., bytes]) -> Callable[..., Any]:
    """Return a function that kills this process when there is the text in what it is given."""

    def wrapped(*args: Any, **more: Any) -> Any:
        if TEXT in text_of(*args):
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **more)

    return wrapped


def arrange(place: str) -> None:
    # A module's attributes have types of their own, which these fit.
    found: dict[str, Any] = {"split": split, "update": Update}
    if place == "split":
        found["split"].clean = deadly(clean, lambda body: body)
    elif place == "hand over":
        found["update"].as_update = deadly(Update.as_update, lambda update: update.dump())
    elif place == "load":
        found["update"].load = deadly(Update.load, lambda data: data)
    else:
        raise SystemExit(f"it cannot die at {place!r}")


if __name__ == "__main__":
    arrange(sys.argv.pop(1))
    sys.exit(main(prog_name="dying worker"))
