import base64
import hashlib
from random import Random
from typing import cast

import pytest

from simulator.cloud_api.clock import Clock
from simulator.cloud_api.media import CHUNK, MediaLibrary, chunks, sha256_of
from simulator.cloud_api.number import Number


class _Clock:
    def __init__(self) -> None:
        self.at = 1_000.0

    def now(self) -> float:
        return self.at


def _library(clock: _Clock) -> MediaLibrary:
    return MediaLibrary(cast(Clock, clock), Random(1), 300)


def _number() -> Number:
    return cast(Number, object())


@pytest.mark.parametrize("size", [1, 7, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_the_bytes_follow_from_the_id(size: int) -> None:
    content = b"".join(chunks("1", size))
    assert len(content) == size
    assert content == b"".join(chunks("1", size))
    assert sha256_of("1", size) == hashlib.sha256(content).digest()


def test_other_ids_and_other_parts_have_other_bytes() -> None:
    first, second = chunks("1", 2 * CHUNK)
    assert first != second
    assert first != next(chunks("2", CHUNK))


def test_the_digest_is_written_as_webhooks_have_it() -> None:
    media = _library(_Clock()).add(_number(), "image/jpeg", 10)
    assert base64.b64decode(media.webhook_sha256) == sha256_of(media.id, 10) == media.sha256


def test_an_address_is_valid_for_a_while() -> None:
    clock = _Clock()
    library = _library(clock)
    media = library.add(_number(), "image/jpeg", 10)
    given = dict(part.split("=") for part in library.address_query(media).split("&"))
    assert library.at_address(given["mid"], given["ext"], given["hash"]) is media
    clock.at += 299
    assert library.at_address(given["mid"], given["ext"], given["hash"]) is media
    clock.at += 1
    assert library.at_address(given["mid"], given["ext"], given["hash"]) is None


def test_an_address_that_was_made_up_leads_nowhere() -> None:
    library = _library(_Clock())
    media = library.add(_number(), "image/jpeg", 10)
    other = library.add(_number(), "image/jpeg", 10)
    given = dict(part.split("=") for part in library.address_query(media).split("&"))
    assert library.at_address(media.id, given["ext"], "0" * 32) is None
    assert library.at_address(media.id, given["ext"], "é") is None
    assert library.at_address(media.id, "9999999999", given["hash"]) is None
    assert library.at_address(other.id, given["ext"], given["hash"]) is None
    assert library.at_address(media.id, "soon", given["hash"]) is None
