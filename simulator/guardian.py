"""Ends what a program has started when the program itself was killed."""

import atexit
import os
import subprocess
from functools import cache

#: Reads "+ GROUP" and "- GROUP". Its input ends when the program does, however it ended; then the
#: groups that are still on the list are killed.
_SCRIPT = """
groups=" "
while read -r sign group; do
    case $sign in
        +) groups="$groups$group " ;;
        -) case $groups in
            *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;;
        esac ;;
    esac
done
for group in $groups; do
    kill -KILL "-$group"
done
"""


class Guardian:
    """A process beside this one, in a group of its own, that outlives it."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        atexit.register(self._leave)

    def watch(self, group: int) -> None:
        """Have a process group killed when this program ends before :meth:`forget`."""
        self._tell(f"+ {group}\n")

    def forget(self, group: int) -> None:
        """The group has ended, and its id may soon be somebody else's. May be said again."""
        self._tell(f"- {group}\n")

    def _tell(self, line: str) -> None:
        assert self._popen.stdin is not None
        # One write, below the size at which a pipe takes it in parts.
        os.write(self._popen.stdin.fileno(), line.encode())

    def _leave(self) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        self._popen.wait()


@cache
def guardian() -> Guardian:
    """Return this program's guardian, started when it is first needed."""
    return Guardian()
