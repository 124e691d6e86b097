"""Settings: where they come from, and what is said about a wrong one."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from sidecar.settings import InvalidSettings, Settings, SignatureMode, dramatiq_url
from tests import trust
from tests.conftest import MakeSettings

pytestmark = pytest.mark.usefixtures("own_environment")

SECRET = "hunter2-hunter2-hunter2"
FILE = 'backend_url = "http://file"\nsigning_keys = "file:0123456789abcdef"\n'


def in_file(text: str, name: str = "sidecar.toml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def explanation() -> str:
    """Return why the settings cannot be loaded: one line."""
    with pytest.raises(InvalidSettings) as raised:
        Settings.load()
    text = str(raised.value)
    assert len(text.splitlines()) == 1
    assert SECRET not in text
    assert raised.value.__cause__ is None
    return text


# -- sources -------------------------------------------------------------------------------------


def test_the_file_in_the_working_directory() -> None:
    in_file(FILE + "port = 1234\n")
    settings = Settings.load()
    assert settings.backend_url == "http://file"
    assert settings.port == 1234
    assert settings.host == "127.0.0.1"


def test_the_file_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    in_file(FILE)
    named = in_file(FILE.replace("http://file", "http://named"), "other.toml")
    monkeypatch.setenv("SIDECAR_CONFIG", str(named))
    assert Settings.load().backend_url == "http://named"


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    in_file(FILE + "port = 1234\n")
    monkeypatch.setenv("SIDECAR_PORT", "4321")
    monkeypatch.setenv("SIDECAR_SIGNING_KEYS", "env:fedcba9876543210")
    settings = Settings.load()
    assert settings.port == 4321
    assert settings.backend_url == "http://file"
    assert settings.signing_secrets == {"env": b"fedcba9876543210"}
    assert Settings.load(port=1).port == 1


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    in_file(FILE)
    monkeypatch.setenv("SIDECAR_PORT", "")
    monkeypatch.setenv("SIDECAR_CONFIG", "")
    assert Settings.load().port == 8600


def test_settings_never_change(make_settings: MakeSettings) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make_settings().__setattr__("port", 1)


# -- what is wrong -------------------------------------------------------------------------------


def test_a_named_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_CONFIG", "/nowhere/sidecar.toml")
    assert explanation() == "SIDECAR_CONFIG names /nowhere/sidecar.toml, which is not a file"
    monkeypatch.setenv("SIDECAR_CONFIG", "/")
    assert "not a file" in explanation()


@pytest.mark.parametrize("text", [b"port = \n", b"port = 1\nport = 2\n", b'host = "\xff"\n'])
def test_a_file_that_is_no_toml(text: bytes) -> None:
    Path("sidecar.toml").write_bytes(text)
    assert explanation().startswith("sidecar.toml cannot be read: ")


def test_a_missing_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_SIGNING_KEYS", f"a:{SECRET}")
    assert explanation() == (
        "setting backend_url (SIDECAR_BACKEND_URL) is missing: "
        "set it in the environment or the file"
    )
    monkeypatch.setenv("SIDECAR_BACKEND_URL", "http://php")
    monkeypatch.delenv("SIDECAR_SIGNING_KEYS")
    assert "signing_keys (SIDECAR_SIGNING_KEYS) is missing" in explanation()


def test_in_a_folder_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_CONFIG", "")
    assert explanation() == (
        f"there is no sidecar.toml in {Path.cwd()} and SIDECAR_CONFIG is not set: "
        "run this where sidecar.toml is, or run sidecar init"
    )
    in_file("port = 1")
    assert "backend_url (SIDECAR_BACKEND_URL) is missing" in explanation()


def test_an_unknown_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    in_file(FILE)
    monkeypatch.setenv("SIDECAR_BACKEND_ULR", SECRET)
    text = explanation()
    assert text == "there is no setting SIDECAR_BACKEND_ULR; see sidecar.example.toml"


def test_an_unknown_name_in_the_file() -> None:
    in_file(FILE + f'prot = "{SECRET}"\n')
    assert explanation() == "there is no setting prot; see sidecar.example.toml"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("port", "eighty", "valid integer"),
        ("port", "70000", "less than or equal to 65535"),
        ("backend_url", "php.example.com", "http:// or https:// address"),
        ("backend_url", f"http://me:{SECRET}@php", "more than a host, a port and a path"),
        ("redis_url", f"http://:{SECRET}@redis", "redis://, rediss://, sentinel:// or unix://"),
        ("redis_url", f"redis://:{SECRET}/x@redis", "percent-encoded"),
        ("dramatiq_redis_url", "redis://host/second", "not a number"),
        ("cloud_api_version", "26", "pattern"),
        ("signing_keys", SECRET, "write it as id:secret"),
        ("signing_keys", f":{SECRET}", "write it as id:secret"),
        ("signing_keys", "first:", "write it as id:secret"),
        ("signing_keys", "first:short", "secret of key 'first' is shorter than 16"),
        ("signing_keys", f"first:{SECRET},first:{SECRET}", "key 'first' is there twice"),
        ("signing_keys", f"zwölf:{SECRET}", "letters, digits, dots"),
        ("signing_keys", f"a b:{SECRET}", "letters, digits, dots"),
        ("signing_keys", " , ", "at least 1 item"),
        ("webhook_signature", "maybe", "'enforce' or 'report'"),
        ("webhook_body_limit_bytes", "10", "greater than or equal to 1024"),
        ("vendor_config_ttl_s", "nan", "greater than or equal to 1"),
        ("status_batch_size", "1001", "less than or equal to 1000"),
        ("media_hosts", "https://fbcdn.net", "is no host name"),
        ("media_hosts", "com", "is no host name"),
        ("notify_webhook_url", "ftp://ops", "http:// or https:// address"),
        ("notify_slack_url", f"https://me:{SECRET}@ops/x", "more than a host"),
        ("notify_slack_url", "https://ops/é", "percent-encoded"),
        ("notify_webhook_keys", "n:short", "shorter than 16"),
        ("notify_email_to", "ops@example.com, everybody", "'everybody' is no e-mail address"),
        ("notify_email_from", "a@b\nBcc: c@d", "pattern"),
        ("notify_smtp_security", "ssl", "pattern"),
        ("log_level", "loud", "pattern"),
        ("log_format", "xml", "pattern"),
    ],
)
def test_a_wrong_setting(monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str) -> None:
    in_file(FILE)
    monkeypatch.setenv(f"SIDECAR_{name.upper()}", value)
    text = explanation()
    assert text.startswith(f"setting {name} (SIDECAR_{name.upper()}) is wrong: ")
    assert says in text


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('notify_webhook_url = "https://ops/x"', "notify_webhook_url needs notify_webhook_keys"),
        (
            'notify_smtp_password = "hush"\nnotify_smtp_security = "none"',
            "notify_smtp_password needs notify_smtp_security to be starttls or tls",
        ),
        (
            "redis_replicas_in_sync = 1",
            "redis_replicas_in_sync needs redis_url: the embedded Valkey has none",
        ),
        (
            'redis_replicas_in_sync = 1\nredis_url = "redis://r"\nredis_replicas_timeout_ms = 400',
            "redis_replicas_timeout_ms must be less than half of inbox_write_timeout_ms",
        ),
    ],
)
def test_settings_that_do_not_fit_together(lines: str, says: str) -> None:
    in_file(f"{lines}\n{FILE}")
    assert explanation() == f"setting {says}"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('app_secrets = [""]', "app_secrets"),
        ("app_secrets = 5", "app_secrets"),
        ("port = [1]", "port"),
        ('[signing_keys]\nfirst = "short"', "signing_keys"),
        ("[signing_keys]\nfirst = 5", "signing_keys"),
    ],
)
def test_a_wrong_setting_in_the_file(line: str, name: str) -> None:
    text = FILE if name != "signing_keys" else FILE.splitlines()[0] + "\n"
    in_file(f"{text}{line}\n")
    assert explanation().startswith(f"setting {name} (SIDECAR_{name.upper()}) is wrong: ")


# -- keys and secrets ----------------------------------------------------------------------------


def test_several_keys_of_which_the_first_one_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    in_file(FILE)
    monkeypatch.setenv("SIDECAR_SIGNING_KEYS", f"new:{SECRET}:1 , old:{SECRET}:2,")
    settings = Settings.load()
    assert settings.signing_key_id == "new"
    assert settings.signing_secrets == {
        "new": f"{SECRET}:1".encode(),
        "old": f"{SECRET}:2".encode(),
    }


def test_keys_as_a_table() -> None:
    in_file(f'backend_url = "http://php"\n[signing_keys]\nnew = "{SECRET}1"\nold = "{SECRET}2"\n')
    settings = Settings.load()
    assert settings.signing_key_id == "new"
    assert set(settings.signing_secrets) == {"new", "old"}


def test_app_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    in_file(FILE + 'app_secrets = ["one, with a comma", "two"]\n')
    assert Settings.load().app_secret_bytes == (b"one, with a comma", b"two")
    monkeypatch.setenv("SIDECAR_APP_SECRETS", " one , two,")
    assert Settings.load().app_secret_bytes == (b"one", b"two")


def test_what_may_be_called_although_it_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    in_file(FILE + 'outbound_allow = ["flowise.internal", "10.0.0.0/8"]\n')
    assert Settings.load().outbound_allow == ["flowise.internal", "10.0.0.0/8"]
    monkeypatch.setenv("SIDECAR_OUTBOUND_ALLOW", "10.1.2.3, ::1")
    assert Settings.load().outbound_allow == ["10.1.2.3", "::1"]
    monkeypatch.setenv("SIDECAR_OUTBOUND_ALLOW", "10.1.2.3/8")
    assert "'10.1.2.3/8' is neither a host name nor an address nor a network" in explanation()


def test_secrets_are_never_shown(make_settings: MakeSettings) -> None:
    settings = make_settings(
        signing_keys=f"a:{SECRET}",
        app_secrets=SECRET,
        redis_url=f"redis://:{SECRET}@host/0",
        dramatiq_redis_url=f"redis://:{SECRET}@host/1",
    )
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in f"{settings.signing_keys} {settings.app_secrets}"


def test_the_settings_of_the_tests(make_settings: MakeSettings) -> None:
    settings = make_settings(webhook_signature="report")
    assert settings.webhook_signature is SignatureMode.REPORT
    assert settings.signing_key_id == trust.KEY_ID


# -- Dramatiq's database -------------------------------------------------------------------------


def test_dramatiq_has_a_database_of_its_own(make_settings: MakeSettings) -> None:
    assert dramatiq_url(make_settings(), "redis://host:1/4") == "redis://host:1/5"
    settings = make_settings(dramatiq_redis_url="redis://other/0")
    assert dramatiq_url(settings, "redis://host:1/4") == "redis://other/0"
