"""Executes commands of ``sidecar`` one after another (``python -m simulator.migration.warm NAME``).

Each runs in a fork of this process, which has loaded these commands: to start Python and to load
what they need takes longer than most of them.
"""

import os
import sys
from importlib import import_module

import orjson


def main() -> None:
    """For each line with ``arguments``, ``environment`` and ``output``, a file, write the exit
    code."""
    program = import_module("sidecar.commands.main")
    for name in sys.argv[1:]:
        program.main.get_command(None, name)
    for line in sys.stdin.buffer:
        order = orjson.loads(line)
        child = os.fork()
        if child == 0:
            output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ.clear()
            os.environ.update(order["environment"])
            program.main(order["arguments"], prog_name="sidecar")
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
