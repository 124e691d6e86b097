"""Calls that an older package does not have."""

from collections.abc import AsyncIterator

import pytest

from contracts.backend import FIND
from contracts.find import FindAnswer, FindRequest
from sidecar.php.client import Backend, BackendFailed, make_backend
from sidecar.php.package import PackageTooOld, call_if_there
from tests.conftest import MakeSettings
from tests.sidecar.answering_php import Php, json_answer

ASKED = FindRequest(query="Ada")


@pytest.fixture
async def backend(make_settings: MakeSettings, php: Php) -> AsyncIterator[Backend]:
    backend = make_backend(make_settings(backend_url=php.url))
    yield backend
    await backend.close()


async def test_it_is_there(php: Php, backend: Backend) -> None:
    php.override = lambda call: json_answer({})
    assert await call_if_there(backend, FIND, ASKED, FindAnswer) == FindAnswer()


@pytest.mark.parametrize(("status", "raised"), [(404, PackageTooOld), (500, BackendFailed)])
async def test_it_is_not(php: Php, backend: Backend, status: int, raised: type[Exception]) -> None:
    php.override = lambda call: json_answer({"message": "Not Found"}, status)
    with pytest.raises(raised) as caught:
        await call_if_there(backend, FIND, ASKED, FindAnswer)
    assert isinstance(caught.value, PackageTooOld) is (status == 404)
