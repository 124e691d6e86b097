"""The console as a whole."""

from tests.sidecar.console.browser import Browser


async def test_the_overview(operator: Browser) -> None:
    page = await operator.page("/")
    assert "Overview" in page
