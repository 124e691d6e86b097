"""Notices in their cookie."""

import time

import pytest
from itsdangerous import URLSafeTimedSerializer

from sidecar.console.notices import KEPT_S, Notice, Notices

NOTICES = Notices(b"a secret of the tests")


@pytest.mark.parametrize("notice", [Notice("3 dead letters"), Notice("آدا ❤ <b>", failed=True)])
def test_it_comes_back(notice: Notice) -> None:
    assert NOTICES.load(NOTICES.dump(notice, "session"), "session") == notice


def test_it_fits_into_a_cookie() -> None:
    for text in ("word " * 2000, "x" * 9000, "❤" * 9000, "آدا " * 3000):
        cookie = NOTICES.dump(Notice(text), "0" * 64)
        assert len(cookie) < 3500
        assert NOTICES.load(cookie, "0" * 64)


def test_another_sessions_and_an_altered_one_are_none() -> None:
    cookie = NOTICES.dump(Notice("done"), "session")
    assert NOTICES.load(cookie, "other") is None
    for altered in ("", "x", cookie[:-1], "A" + cookie, cookie.replace(".", "", 1)):
        assert NOTICES.load(altered, "session") is None
    assert Notices(b"another secret").load(cookie, "session") is None


def test_an_old_one_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = NOTICES.dump(Notice("done"), "session")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + KEPT_S + 2)
    assert NOTICES.load(cookie, "session") is None


def test_the_secret_is_not_used_as_it_is() -> None:
    plain = URLSafeTimedSerializer(b"a secret of the tests", salt="notice")
    assert NOTICES.load(str(plain.dumps(["session", "done", False])), "session") is None
