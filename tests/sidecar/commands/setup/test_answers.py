"""How answers are read: what is wrong is said, and a secret is in no message."""

import pwd
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.commands.setup.answers import (
    found_fpm,
    has_password,
    read_fpm,
    read_http_url,
    read_path,
    read_public_url,
    read_redis_url,
    read_secret,
    read_user,
    service_user,
    this_program,
    with_password,
)
from sidecar.settings import Settings
from tests.sidecar.commands.setup.made import SECRET, answers, place


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (read_http_url, "http://127.0.0.1:8601/", "http://127.0.0.1:8601"),
        (read_http_url, "https://php.internal/app", "https://php.internal/app"),
        (read_public_url, "https://wa.example.com", "https://wa.example.com"),
        (read_public_url, "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        (read_redis_url, "unix:///run/redis.sock?db=2", "unix:///run/redis.sock?db=2"),
        (read_redis_url, "rediss://r.example.com:6380/3", "rediss://r.example.com:6380/3"),
        (read_secret, SECRET, SECRET),
        (read_secret, f"{SECRET}, another-secret", f"{SECRET},another-secret"),
        (read_path, "/srv/wa-1/a.b_c+d@e", Path("/srv/wa-1/a.b_c+d@e")),
        (read_path, "~", Path.home()),
        (read_path, "x", Path.cwd() / "x"),
        (read_fpm, "unix:/run/php/php8.2-fpm.sock", "unix:/run/php/php8.2-fpm.sock"),
        (read_fpm, "127.0.0.1:9000", "127.0.0.1:9000"),
        (read_fpm, "[::1]:9000", "[::1]:9000"),
        (read_user, "whatsapp-sidecar", "whatsapp-sidecar"),
    ],
)
def test_an_answer(read: Callable[[str], object], text: str, expected: object) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((read_http_url, text) for text in ("", "ftp://x", "x", "http://", "http://a:b@c", "h t")),
        *(
            (read_public_url, text)
            for text in ("wa.example.com", "https://a.b/c", "http://ä.b", "http://[::1]")
        ),
        *((read_redis_url, text) for text in ("", "localhost:6379", "redis://x/one", "http://x")),
        *(
            (read_secret, text)
            for text in ("", "short", "a secret with blanks", "a,bcdefgh", "abcdefgh,", "'" * 9)
        ),
        *((read_path, text) for text in ("/srv/my app", "/srv/ü", "/a;b", "/a\nb", "/a%b", "/$x")),
        *((read_fpm, text) for text in ("", "/run/php.sock", "unix:x", "9000", "a:b", "x:1;")),
        *((read_user, text) for text in ("", "root", "a b", "-x", "A", "a" * 33)),
    ],
)
def test_what_is_no_answer(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+") as wrong:
        read(text)
    assert "Value error" not in str(wrong.value)
    if read is read_secret and text:
        assert text not in str(wrong.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1:6379/0", "redis://:p%40%3A%2F@127.0.0.1:6379/0"),
        ("redis://ada@host/0", "redis://ada:p%40%3A%2F@host/0"),
        ("redis://ada:old@host/0", "redis://ada:p%40%3A%2F@host/0"),
        ("unix:///run/redis.sock?db=1", "unix://:p%40%3A%2F@/run/redis.sock?db=1"),
    ],
)
def test_a_password_for_an_address(url: str, expected: str) -> None:
    assert with_password(url, "p@:/") == expected
    assert has_password(expected)
    assert has_password(url) is ("old" in url)


@pytest.mark.usefixtures("own_environment")
def test_answers_are_settings() -> None:
    given = answers()
    settings = Settings.load(**given.settings())
    assert settings.signing_secrets == {"first": given.signing_secret.encode()}
    assert re.fullmatch("[0-9a-f]{64}", given.signing_secret)
    assert settings.app_secret_bytes == (SECRET.encode(),)
    assert settings.public_url == "https://wa.example.com"
    assert "data_dir" not in given.settings(), "a Redis of one's own keeps nothing there"
    embedded = answers(redis_url=None, public_url=None, app_secret=None)
    assert embedded.settings()["data_dir"] == "/var/lib/whatsapp-sidecar"
    assert not {"redis_url", "public_url", "app_secrets"} & set(embedded.settings())
    assert embedded.signing_secret != given.signing_secret


def test_secrets_are_not_shown() -> None:
    shown = repr(given := answers(redis_url="redis://:hush@h"))
    assert not any(secret in shown for secret in (SECRET, "hush", given.signing_secret))


def test_the_program_is_the_one_that_runs() -> None:
    assert this_program().parent == Path(sys.executable).parent


def test_the_services_never_run_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert service_user() == "whatsapp-sidecar"
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr("os.geteuid", lambda: nobody.pw_uid)
    assert service_user() == "nobody"


def test_the_group_is_the_users() -> None:
    assert place(user=pwd.getpwuid(0).pw_name).group == "root"
    assert place(user="not-there-yet").group == "not-there-yet"


def test_the_newest_fpm_is_found(tmp_path: Path) -> None:
    assert found_fpm(tmp_path) == "unix:/run/php/php8.2-fpm.sock"
    for name in ("php8.2-fpm.sock", "php8.10-fpm.sock", "php7.4-fpm.sock", "other.sock"):
        (tmp_path / name).touch()
    assert found_fpm(tmp_path) == f"unix:{tmp_path}/php8.10-fpm.sock"
