"""Killing what the workers depend on in the middle of a campaign, and counting what arrived."""

from simulator.control import read
from simulator.demo import Demo
from tests.system.running import assert_complete, wait_for_accepted


def test_sidecar_killed(shared_demo: Demo) -> None:
    """Meta gets no answer, or none but 200, and comes again."""
    for at in (100, 300):
        wait_for_accepted(shared_demo, at)
        shared_demo.installation.crash("sidecar")
        shared_demo.installation.restart("sidecar")
    assert_complete(shared_demo)
    assert read(shared_demo.cloud_api, "report")["webhooks"]["abandoned"] == 0


def test_redis_killed_with_its_append_only_file_kept(shared_demo: Demo) -> None:
    wait_for_accepted(shared_demo, 200)
    shared_demo.installation.crash("redis")
    shared_demo.installation.restart("redis")
    assert_complete(shared_demo)


def test_backend_killed(shared_demo: Demo) -> None:
    wait_for_accepted(shared_demo, 200)
    shared_demo.installation.crash("backend")
    shared_demo.installation.restart("backend")
    assert_complete(shared_demo)
