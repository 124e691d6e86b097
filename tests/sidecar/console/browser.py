"""A browser as far as tests of pages need one: it keeps cookies, and posts forms with their
token."""

import re
from typing import Self

import httpx

from contracts.console import Role
from sidecar.http.front import Front

PASSWORDS = {Role.LOOK: "a password to look with", Role.OPERATE: "a password to operate with"}


class Browser:
    """``app`` is the application that it talks to. Paths are below ``/sidecar``."""

    def __init__(self, client: httpx.AsyncClient, app: Front) -> None:
        self.client = client
        self.app = app

    async def sign_in(self, role: Role, *, fresh: bool = False) -> Self:
        """Sign in as the user of this role."""
        answer = await self.try_to_sign_in(f"{role}-user", PASSWORDS[role])
        assert answer.status_code == 303, answer.text
        return self

    async def try_to_sign_in(
        self, name: str, password: str, *, to: str = "", **headers: str
    ) -> httpx.Response:
        fields = {"name": name, "password": password, "to": to}
        return await self.client.post("/sidecar/sign-in", data=fields, headers=headers)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(f"/sidecar{path}", headers=headers)

    async def page(self, path: str) -> str:
        """Return the text of a page that there is."""
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def token(self) -> str:
        """Return the token that forms of this session carry."""
        found = re.search(r'name="csrf" value="([^"]+)"', (await self.get("/")).text)
        assert found
        return found[1]

    async def post(
        self, path: str, fields: dict[str, str | list[str]] | None = None, *, token: bool = True
    ) -> httpx.Response:
        """Post a form, with the session's token."""
        form = {**(fields or {}), **({"csrf": await self.token()} if token else {})}
        return await self.client.post(f"/sidecar{path}", data=form)

    async def notice(self, answer: httpx.Response) -> str:
        """Follow the redirect of a POST, and return the notice that is shown there."""
        assert answer.status_code == 303, answer.text
        page = await self.client.get(answer.headers["location"])
        found = re.search(r'<p class="notice \w+" role="status"><strong>.*?</p>', page.text)
        assert found, page.text
        return re.sub("<[^>]+>", "", found[0])
