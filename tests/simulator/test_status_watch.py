"""What ``sidecar status`` calls wrong beside something that runs is kept, with when it was."""

import time
from pathlib import Path

from simulator.embedded import EmbeddedInstallation
from simulator.status_watch import StatusWatch
from tests import trust


def test_what_is_wrong_is_kept(tmp_path: Path) -> None:
    installation = EmbeddedInstallation(tmp_path, {trust.KEY_ID: trust.SIGNING_SECRET.encode()})
    installation.configure(redis_url="redis://127.0.0.1:9/0", backend_url="http://127.0.0.1:9")
    watch = StatusWatch(installation, every_s=0.01)
    with watch:
        while not watch.looks:
            time.sleep(0.01)
    assert watch.wrong[0].startswith("0 s: exit code 1, [redis-unavailable] Redis is unavailable")
    assert watch.as_dict()["looks"] >= 1
    assert 0 < watch.as_dict()["longest_s"] < 60
