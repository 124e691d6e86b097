"""Settings that PHP reads too are parsed as PHP parses them: both are held to the same vectors."""

from pathlib import Path
from typing import Any

import orjson
import pytest

import contracts
from sidecar.settings import InvalidSettings, Settings

VECTORS = orjson.loads((Path(contracts.__file__).parent / "vectors" / "settings.json").read_bytes())

KEYS = "k1:0123456789abcdef"


def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **variables: str) -> Settings | None:
    """Return the settings that come of these variables; None if they are refused."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "BACKEND_URL": "http://127.0.0.1:1",
        "SIGNING_KEYS": KEYS,
        **variables,
    }.items():
        monkeypatch.setenv(f"SIDECAR_{name}", value)
    try:
        return Settings.load()
    except InvalidSettings:
        return None


def cases(kind: str) -> list[Any]:
    return [pytest.param(value, parsed, id=repr(value)) for value, parsed in VECTORS[kind]]


@pytest.mark.parametrize(("value", "parsed"), cases("lists"))
def test_lists(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, parsed: list[str]
) -> None:
    found = load(monkeypatch, tmp_path, APP_SECRETS=value)
    assert found is not None
    assert [secret.decode() for secret in found.app_secret_bytes] == parsed


@pytest.mark.parametrize(("value", "parsed"), cases("keys"))
def test_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, parsed: dict[str, str] | None
) -> None:
    found = load(monkeypatch, tmp_path, SIGNING_KEYS=value)
    keys = found and {key: secret.decode() for key, secret in found.signing_secrets.items()}
    assert keys == parsed
    if found and parsed:
        assert found.signing_key_id == next(iter(parsed))


@pytest.mark.parametrize(("value", "parsed"), cases("flags"))
def test_flags(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, parsed: bool | None
) -> None:
    found = load(monkeypatch, tmp_path, PROXY_KEEP_FAILED=value)
    assert (found.proxy_keep_failed if found else None) == parsed


@pytest.mark.parametrize(("value", "parsed"), cases("windows"))
def test_windows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, parsed: int | None
) -> None:
    found = load(monkeypatch, tmp_path, SIGNING_WINDOW_S=value)
    assert (found.signing_window_s if found else None) == parsed


@pytest.mark.parametrize(("value", "parsed"), cases("urls"))
def test_urls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, parsed: str | None
) -> None:
    found = load(monkeypatch, tmp_path, BACKEND_URL=value)
    assert (found.backend_url if found else None) == parsed
