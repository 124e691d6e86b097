"""Each address fails in its own way, before anything is sent."""

from pathlib import Path

import aiohttp
import pytest

from tests import unreachable


async def _error(url: str) -> BaseException:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.post(url, data=b"{}")
    return caught.value


async def test_a_name_that_does_not_exist() -> None:
    assert isinstance(await _error(unreachable.NO_SUCH_NAME), aiohttp.ClientConnectorDNSError)


async def test_a_port_that_refuses() -> None:
    assert isinstance(await _error(unreachable.nothing_listens()), aiohttp.ClientConnectorError)


async def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    with unreachable.untrusted_tls(tmp_path) as url:
        error = await _error(url)
        assert isinstance(error, aiohttp.ClientConnectorCertificateError)
        assert isinstance(await _error(url), aiohttp.ClientConnectorCertificateError)


async def test_plain_http_where_tls_is_expected() -> None:
    with unreachable.plain_http_behind_https() as url:
        assert isinstance(await _error(url), aiohttp.ClientConnectorSSLError)
