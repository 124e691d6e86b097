"""The network is spoilt for a process of ours, and what that process concludes."""

import os
import subprocess
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from simulator.outages.network import SHAPES, TLS, Network, lacking
from simulator.outages.resolver import NAME, Names

#: Sends a message for each line that it reads, as a worker does, and says what it concludes.
ASKING = """
import sys, uvloop
from workers.sending.cloud_api import CloudApi

async def main():
    api = CloudApi(sys.argv[1], "v1", timeout_s=5)
    for _ in sys.stdin:
        print(await api.send("110", "token", b"{}"), flush=True)
    await api.close()

uvloop.run(main())
"""


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_sent_while_it_fails(httpserver: HTTPServer, tmp_path: Path, shape: str) -> None:
    httpserver.expect_request("/v1/110/messages").respond_with_json({"messages": [{"id": "w"}]})
    (tmp_path / "asking.py").write_text(ASKING)
    path = {"PYTHONPATH": os.pathsep.join((str(tmp_path), os.getcwd()))}
    with Network(tmp_path, httpserver.port, shape) as network:
        worker = subprocess.Popen(
            network.command("asking", network.url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **path, **network.environment},
        )

        def send() -> str:
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
            return str(worker.stdout.readline())

        try:
            assert send().startswith("Accepted(")
            network.fail()
            assert [send()[:8] for _ in range(3)] == ["NotSent("] * 3
            network.mend()
            assert send().startswith("Accepted(")
        finally:
            worker.communicate(timeout=20)
    assert len(httpserver.log) == 2


def test_a_name_is_there_or_nobody_answers_for_it(tmp_path: Path) -> None:
    file = tmp_path / "names"
    file.write_text(NAME)
    assert Names(file).address(NAME) == "127.0.0.1"
    file.write_text("")
    with pytest.raises(OSError, match="name resolution"):
        Names(file).address(NAME)
    assert Names(file).address("localhost") == "localhost"


def test_a_shape_says_what_it_needs() -> None:
    assert [lacking(shape, lambda _program: None) for shape in SHAPES] == [
        "openssl" if shape == TLS else None for shape in SHAPES
    ]
