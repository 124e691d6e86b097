"""A signal is noticed whenever it comes, also in the moment in which a process goes to sleep."""

import signal
import subprocess
import sys

#: With a handler that sets an event, or writes into the pipe, this does not end.
AT_ANY_MOMENT = """
import os, signal, threading
from workers.termination import Termination

def send():
    while os.read(ask, 1):
        os.kill(os.getpid(), signal.SIGTERM)

ask, now = os.pipe()
termination = Termination()
threading.Thread(target=send, daemon=True).start()
for _ in range(20_000):
    os.write(now, b".")
    termination.wait()
"""


def test_it_is_noticed_at_any_moment() -> None:
    subprocess.run([sys.executable, "-c", AT_ANY_MOMENT], check=True, timeout=100)


def test_ctrl_c_again_ends_it_at_once() -> None:
    program = "import signal; from workers.termination import Termination\n"
    program += "termination = Termination(); signal.raise_signal(signal.SIGINT)\n"
    program += "termination.wait(); signal.raise_signal(signal.SIGINT); print('goes on')"
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=100)
    assert done.returncode == -signal.SIGINT
