import sys
import time
from pathlib import Path

from bench.parts.idle import run_s
from simulator.processes import Process

SPINS = "import time\nprint('working on it', flush=True)\nwhile time.process_time() < 0.3: pass\n"


def test_the_scheduler_accounts_for_what_a_process_has_run(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SPINS + "time.sleep(60)"]
    with Process("spins", command, tmp_path / "log") as process:
        while process.cpu_s() < 0.25:
            time.sleep(0.01)
        assert run_s(process.pid) >= 0.25
