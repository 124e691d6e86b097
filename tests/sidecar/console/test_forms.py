"""Forms that are posted."""

from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request

from sidecar.console.forms import MAX_BYTES, MAX_FIELDS, Form, TooLarge, read_form


async def read(*parts: bytes) -> Form:
    """Read a form that comes in these parts."""
    chunks: AsyncIterator[bytes] = _each(parts)

    async def receive() -> dict[str, object]:
        part = await anext(chunks, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    return await read_form(Request({"type": "http", "method": "POST", "headers": []}, receive))


async def _each(parts: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_fields() -> None:
    form = await read(b"id=1&id=2&na", b"me=+Ada%20L%C3%B6+&empty=&x")
    assert form.all("id") == ["1", "2"]
    assert form.get("id") == "2"
    assert (form.get("name"), form.exact("name")) == ("Ada Lö", " Ada Lö ")
    assert (form.get("empty", "default"), form.get("none", "default")) == ("", "default")
    assert (form.exact("none"), form.all("none")) == ("", [])
    assert form.fields[-1] == ("x", "")


@pytest.mark.parametrize("body", [b"", b"\xff=\xfe", b"%ff=%00", b"&&=&", b'{"a": 1}'])
async def test_whatever_comes_is_a_form(body: bytes) -> None:
    assert (await read(body)).get("csrf") == ""


async def test_one_that_is_too_large() -> None:
    await read(b"x" * MAX_BYTES)
    with pytest.raises(TooLarge, match="larger than 524,288 bytes"):
        await read(b"x" * MAX_BYTES, b"x")


async def test_too_many_fields() -> None:
    assert len((await read(b"&".join([b"a=1"] * MAX_FIELDS))).fields) == MAX_FIELDS
    with pytest.raises(TooLarge, match="more than 5,000 fields"):
        await read(b"&".join([b"a=1"] * (MAX_FIELDS + 1)))


@pytest.mark.parametrize(
    ("sent", "holds"), [("abc", True), ("abd", False), ("", False), ("ö", False)]
)
def test_the_token(sent: str, holds: bool) -> None:
    assert Form([("csrf", sent)]).has_token("abc") is holds
    assert not Form([]).has_token("abc")
