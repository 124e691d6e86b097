"""``sidecar.example.toml``: it documents every setting, and it can be loaded."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from sidecar.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "sidecar.example.toml"
#: Set in the file, and not behind a #.
SET = {"backend_url", "signing_keys", "app_secrets"}
#: Without a default: an example stands behind the #, and the text says so.
UNSET = {
    *("otlp_url",),
    *("redis_url", "dramatiq_redis_url", "public_url", "media_dir"),
    *("notify_webhook_url", "notify_webhook_keys", "notify_slack_url", "notify_email_from"),
    *("notify_smtp_user", "notify_smtp_password"),
}


def uncommented() -> dict[str, object]:
    return tomllib.loads(re.sub(r"(?m)^#(?=\w+ = )", "", EXAMPLE.read_text()))


def test_every_setting_is_there_and_nothing_else() -> None:
    assert set(uncommented()) == set(Settings.model_fields)
    assert set(tomllib.loads(EXAMPLE.read_text())) == SET


def test_what_stands_behind_a_hash_is_the_default() -> None:
    for name, value in uncommented().items():
        default = Settings.model_fields[name].default
        if name in SET:
            assert default in (PydanticUndefined, []), name
        elif name in UNSET:
            assert default is None, name
        else:
            assert value in (default, str(default)), name
            assert isinstance(value, bool) == isinstance(default, bool), name


def test_every_setting_is_explained() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        match = re.match(r"#?(\w+) = ", line)
        if match is None:
            continue
        before = lines[number - 1]
        assert before.startswith("#"), f"nothing is said about {match[1]}"
        if match[1] in UNSET:
            assert before.startswith("# Default: not set"), match[1]
        assert len(line) <= 100


@pytest.mark.usefixtures("own_environment")
def test_it_can_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_CONFIG", str(EXAMPLE))
    settings = Settings.load()
    assert settings.signing_key_id == "first"
    assert len(settings.app_secrets) == 1
    assert settings.redis_url is None


@pytest.mark.usefixtures("own_environment")
def test_it_can_be_loaded_with_every_default_written_out() -> None:
    Path("sidecar.toml").write_text(re.sub(r"(?m)^#(?=\w+ = )", "", EXAMPLE.read_text()))
    settings = Settings.load()
    defaults = Settings.load(**dict.fromkeys(UNSET)).model_dump()
    Path("sidecar.toml").write_text(EXAMPLE.read_text())
    assert Settings.load().model_dump() == defaults
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
