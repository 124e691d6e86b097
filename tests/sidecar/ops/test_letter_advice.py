"""What reasons of dead letters mean."""

import pytest

from sidecar.ops.letter_advice import advise
from sidecar.redis.letter_bounds import LetterKind


@pytest.mark.parametrize(
    ("kind", "reason", "meaning"),
    [
        ("message", "worker died", "A worker died"),
        (None, "messages[0] cannot be read: it is no object", "What Meta sent"),
        ("status", "SQLSTATE[22001] 1406 in contacts", "PHP's database"),
        ("status", "SQL error in contacts", "PHP's database"),
        ("message", "an HTML page; PHP's log says why", "PHP answers with an error page"),
        ("message", "/internal/process-webhooks answered 500", "PHP fails on it"),
        ("message", "the contact is locked", "PHP refuses it"),
        (None, "", "PHP refuses it"),
    ],
)
def test_updates(kind: str | None, reason: str, meaning: str) -> None:
    found = advise(LetterKind.UPDATES, kind, reason)
    assert found.meaning.startswith(meaning)
    assert found.do


@pytest.mark.parametrize(
    ("kind", "reason", "meaning", "do"),
    [
        ("fetch_media", "token_invalid: 401", "The access token", "in PHP"),
        ("fetch_media", "address_refused: x", "Its address", "add it there"),
        ("fetch_media", "media_unknown: 404", "It cannot be fetched any more", "discard"),
        ("fetch_media", "sha256_wrong", "What came", "replay it"),
        ("fetch_media", "timed_out: too_large", "It could not be fetched", "while Meta keeps it"),
        ("forward", "the server answered 500", "The vendor's own webhook", "vendor"),
        ("ai_reply", "401", "The AI gave no answer", "key"),
        ("broadcast", "no", "It failed", "replay"),
        (None, "no", "It failed", "replay"),
    ],
)
def test_effects(kind: str | None, reason: str, meaning: str, do: str) -> None:
    found = advise(LetterKind.EFFECTS, kind, reason)
    assert found.meaning.startswith(meaning)
    assert do in found.do
