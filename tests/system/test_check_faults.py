"""``sidecar check`` beside each fault of the simulated Cloud API: it is named, and what to do."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pytest
from click.testing import CliRunner

from sidecar import logs
from sidecar.commands.checks import cloud_api, cloud_api_call
from sidecar.commands.main import main
from simulator.embedded import EmbeddedInstallation
from tests import unreachable

NUMBER = "200000000000001"

Check = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedInstallation]:
    with EmbeddedInstallation(tmp_path_factory.mktemp("installation")) as it:
        it.start_cloud_api("--phone-number-id", NUMBER)
        it.start_redis()
        it.start_backend()
        it.seed_vendors(vendors=1)
        yield it


@pytest.fixture
def order(installation: EmbeddedInstallation) -> Callable[..., Any]:
    """Make a control call of the simulated Cloud API."""

    def order(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        url = f"{installation.processes['cloud-api'].url}/_simulator/{path}"
        answer = httpx.request(method, url, json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    return order


@pytest.fixture
def check(
    installation: EmbeddedInstallation, own_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Check:
    """Run the command; return the lines that fail, by what they are about."""
    monkeypatch.setattr(logs, "configure", lambda *arguments: None)
    monkeypatch.setattr(cloud_api_call, "ANSWER_TIMEOUT_S", 1.0)

    def check(**settings: str) -> dict[str, dict[str, Any]]:
        environment = {**installation.environment, **settings}
        result = CliRunner().invoke(main, ["check", "--json"], env=environment)
        found = orjson.loads(result.stdout)
        failing = {line["what"]: line for line in found["lines"] if line["level"] == "FAIL"}
        assert result.exit_code == (1 if failing else 0), result.output
        assert all(line["do"] for line in failing.values())
        return failing

    return check


def test_nothing_is_wrong(check: Check) -> None:
    assert check() == {}


@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ("html_502", "HTTP 502 with something that is not the Cloud API's answer"),
        ("empty_502", "HTTP 502 with something"),
        ("html_200", "HTTP 200 with something"),
        ("empty_200", "HTTP 200 with something"),
        ("error_131000", "a fault of its own"),
        ("http_503", "503"),
        ("reset", "the connection broke before an answer came"),
        ("reset_after_read", "the connection broke before an answer came"),
        ("black_hole", "no answer within"),
    ],
)
def test_an_outage(check: Check, order: Callable[..., Any], shape: str, says: str) -> None:
    order("POST", "outages", {"shape": shape, "seconds": 60})
    try:
        found = check()
    finally:
        order("DELETE", "outages")
    assert says in found.pop(cloud_api.WHAT)["detail"]
    assert found == {}
    assert check() == {}


def test_it_is_slow(
    check: Check, order: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_api, "SLOW_S", 0.3)
    order("POST", "outages", {"shape": "slow", "seconds": 60, "answer_after_s": 0.5})
    try:
        found = check()
    finally:
        order("DELETE", "outages")
    assert "s to answer" in found[cloud_api.WHAT]["detail"]


def test_a_number_that_is_gone(check: Check, order: Callable[..., Any]) -> None:
    order("POST", "numbers/remove", {"phone_number_id": NUMBER})
    try:
        found = check()
    finally:
        order("POST", "numbers/restore", {"phone_number_id": NUMBER})
    [(what, line)] = found.items()
    assert what.startswith(f"number {NUMBER} of vendor ")
    assert "Meta has no such number" in line["detail"]


def test_a_token_that_was_rotated(check: Check, order: Callable[..., Any]) -> None:
    order("POST", "access-token", {"subcode": 463})
    try:
        found = check()
    finally:
        order("POST", "access-token", {"access_token": EmbeddedInstallation.ACCESS_TOKEN})
    [line] = found.values()
    assert "the access token is refused (code 190, subcode 463: it has expired)" in line["detail"]


def test_an_account_that_is_locked(check: Check, order: Callable[..., Any]) -> None:
    order("POST", "account-blocks", {"code": 131031})
    try:
        found = check()
    finally:
        order("DELETE", "account-blocks")
    [line] = found.values()
    assert (
        line["detail"] == "Meta blocks what is sent, because of its account (131031 account locked)"
    )
    assert check() == {}


def test_it_cannot_be_reached(check: Check, tmp_path: Any) -> None:
    for url, says in (
        (unreachable.NO_SUCH_NAME, "does not resolve"),
        (unreachable.nothing_listens(), "refuses the connection"),
    ):
        assert says in check(SIDECAR_CLOUD_API_URL=url)[cloud_api.WHAT]["detail"]
    with unreachable.untrusted_tls(tmp_path) as url:
        found = check(SIDECAR_CLOUD_API_URL=url)
        assert "the certificate of " in found[cloud_api.WHAT]["detail"]
    with unreachable.plain_http_behind_https() as url:
        assert "TLS with " in check(SIDECAR_CLOUD_API_URL=url)[cloud_api.WHAT]["detail"]


@pytest.mark.parametrize(
    ("setting", "address", "what"),
    [
        ("SIDECAR_REDIS_URL", "redis://127.0.0.1:9/0", {"redis", "dramatiq's database"}),
        ("SIDECAR_DRAMATIQ_REDIS_URL", "redis://127.0.0.1:9/1", {"dramatiq's database"}),
        ("SIDECAR_BACKEND_URL", "http://127.0.0.1:9", {"backend"}),
    ],
)
def test_what_is_away_is_named(check: Check, setting: str, address: str, what: set[str]) -> None:
    assert set(check(**{setting: address})) == what
