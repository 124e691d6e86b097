"""Customers send media, and it ends in PHP's folder: every part a real process."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.cloud_api.media import chunks
from simulator.embedded import EmbeddedInstallation
from simulator.stack.installation import StackInstallation
from simulator.stack.media_run import MediaRun, Peak
from tests.stack.packages import require_stack, wanted

MB = 1024 * 1024
QUICK = {"lease_ttl_ms": 1500, "reconcile_interval_s": 0.2, "update_retry_first_ms": 100}
WAIT_S = 120.0

KINDS = [StackInstallation if wanted() else EmbeddedInstallation]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MediaRun]:
    if request.param is StackInstallation:
        require_stack()
    with request.param(tmp_path) as installation:
        installation.configure(**QUICK)
        run = MediaRun(installation)
        run.start()
        yield run


def assert_whole(run: MediaRun) -> None:
    """Each file is there once, whole, and PHP knows it; nothing else is there."""
    rows = run.rows()
    assert {row["state"] for row in rows} == {"stored"}
    assert sorted(row["path"] for row in rows) == run.files()
    sizes = {media["id"]: media["file_size"] for media in run.sent()}
    for row in rows:
        expected = hashlib.sha256()
        for chunk in chunks(row["id"], sizes[row["id"]]):
            expected.update(chunk)
        with (run.folder / row["path"]).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        assert found == row["sha256"] == expected.hexdigest()
        assert row["bytes"] == sizes[row["id"]]


def test_every_type(run: MediaRun) -> None:
    kinds = ("image", "audio", "document", "sticker", "video")
    for kind in kinds:
        run.send(70_000, kind)
    assert run.wait(len(kinds), WAIT_S), run.rows()
    assert_whole(run)


def test_100_mb_cost_neither_side_more_than_a_buffer(run: MediaRun) -> None:
    run.send(100_000)  # what is made once has been made
    assert run.wait(1, WAIT_S)
    peaks = {name: Peak(pids) for name, pids in run.processes().items()}
    run.send(100_000_000)
    assert run.wait(2, WAIT_S), run.rows()
    grown = {name: peak.grown_bytes() / MB for name, peak in peaks.items()}
    assert_whole(run)
    assert max(grown.values()) < 5, grown


def test_the_worker_is_killed_while_it_fetches(run: MediaRun) -> None:
    run.fault("slow", seconds=600, times=1)
    run.send(5_000_000)
    assert run.conversation.wait(lambda: len(run.files()) == 1, WAIT_S)
    [part] = run.files()
    assert part.startswith(".parts/")
    run.installation.crash("worker-effects")
    run.installation.start("worker-effects")
    assert run.wait(1, WAIT_S), run.rows()
    assert_whole(run)


def test_what_breaks_is_fetched_again(run: MediaRun) -> None:
    """The address has expired, the connection breaks, the bytes are others: each once."""
    faults = ("expired", "cut", "wrong_bytes")
    for fault in faults:
        run.fault(fault, times=1)
    for _ in faults:
        run.send(200_000)
    assert run.wait(len(faults), WAIT_S), run.rows()
    assert_whole(run)
    assert sum(media["addresses"] for media in run.sent()) > len(faults)
