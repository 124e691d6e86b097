"""The style sheet and the script."""

import re
from pathlib import Path

from sidecar.console import static
from sidecar.console.static import static_url
from tests.sidecar.console.browser import Browser

FILES = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


async def test_a_file_is_kept_for_ever_under_its_content(browser: Browser) -> None:
    for name, media_type in FILES.items():
        answer = await browser.client.get(static_url(name))
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].split(";")[0] == media_type
        assert answer.content == (Path(static.__file__).parent / "static" / name).read_bytes()


async def test_another_versions_address(browser: Browser) -> None:
    answer = await browser.get("/static/0123/console.css")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


async def test_nothing_else_is_served(browser: Browser) -> None:
    for folder in ("/static/0", "/static"):
        for name in ("none.css", "..%2fapp.py", "%2e%2e/app.py", "console.css/x"):
            answer = await browser.get(f"{folder}/{name}")
            assert answer.status_code in (303, 404)
            assert "import" not in answer.text


def test_every_page_names_them_by_their_content() -> None:
    for name in FILES:
        assert re.fullmatch(rf"/sidecar/static/[0-9a-f]{{16}}/{name}", static_url(name))


def test_the_style_sheet_needs_nothing_from_elsewhere() -> None:
    for name in FILES:
        text = (Path(static.__file__).parent / "static" / name).read_text()
        addresses = set(re.findall(r"https?://[^\"')\s]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}
        assert "@import" not in text
