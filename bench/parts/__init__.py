"""What is measured. A part is a module with ``run(context)``, which measures once, and returns the
figures of each system. Its name is the module's."""

from collections.abc import Callable
from importlib import import_module

from bench.context import Context
from bench.figures import Figures

#: In the order in which they run.
PARTS = (
    *("ingest", "sizes", "growth", "lost", "drain", "latency", "campaign", "sustained", "limits"),
    *("idle", "console", "bots", "proxy", "replies", "media", "replicas"),
)

#: Those that need no nginx, PHP and MariaDB.
WITHOUT_STACK = frozenset({"console", "growth", "limits", "lost", "proxy", "replicas", "sizes"})


def load(name: str) -> Callable[[Context], Figures]:
    """Return a part's function. Raises KeyError for a name that is not in ``PARTS``."""
    if name not in PARTS:
        raise KeyError(name)
    run: Callable[[Context], Figures] = import_module(f"bench.parts.{name}").run
    return run
