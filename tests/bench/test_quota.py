import os
import sys
from pathlib import Path

import pytest

from bench.quota import limited
from simulator.processes import Process


class Spinning(Process):
    def is_ready(self) -> bool:
        return True


def test_a_process_has_its_share_and_is_free_again(tmp_path: Path) -> None:
    with Spinning("spins", [sys.executable, "-c", "while True: pass"], tmp_path / "log") as one:
        with limited([one], 0.1) as is_limited:
            if not is_limited:
                pytest.skip("only root may make control groups, and not in every container")
            assert f"bench-{os.getpid()}-{one.pid}" in Path(f"/proc/{one.pid}/cgroup").read_text()
        assert one.running
        assert "bench-" not in Path(f"/proc/{one.pid}/cgroup").read_text()
