"""A browser as far as tests of pages need one: it keeps cookies, posts forms with their token, and
takes events."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx
from argon2 import PasswordHasher

from contracts.console import Role
from sidecar.console.users import LocalUser
from sidecar.http.front import Front

PASSWORDS = {Role.LOOK: "a password to look with", Role.OPERATE: "a password to operate with"}

#: As weak as it gets: these are made and checked for each test.
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

#: A user for each role, ``look-user`` and ``operate-user``.
USERS = {
    role: LocalUser(
        name=f"{role}-user", role=role, password_hash=HASHER.hash(password), stamp=f"first-{role}"
    )
    for role, password in PASSWORDS.items()
}


class Browser:
    """``app`` is the application that it talks to. Paths are below ``/sidecar``."""

    def __init__(self, client: httpx.AsyncClient, app: Front) -> None:
        self.client = client
        self.app = app

    async def sign_in(self, role: Role) -> Self:
        """Sign in as the user of this role."""
        answer = await self.try_to_sign_in(USERS[role].name, PASSWORDS[role])
        assert answer.status_code == 303, answer.text
        return self

    async def try_to_sign_in(
        self, name: str, password: str, *, to: str = "", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        fields = {"name": name, "password": password, "to": to}
        return await self.client.post("/sidecar/sign-in", data=fields, headers=headers)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.client.get(f"/sidecar{path}", headers=headers)

    async def page(self, path: str) -> str:
        """Return the text of a page that there is."""
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def token(self) -> str:
        """Return the token that forms of this session carry."""
        # The cheapest page there is.
        answer = await self.get("/no-such-page")
        found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
        assert found
        return found[1]

    async def post(
        self, path: str, fields: Mapping[str, str | list[str]] | None = None, *, token: bool = True
    ) -> httpx.Response:
        """Post a form, with the session's token, which a page's own form has already."""
        form = dict(fields or {})
        if token and "csrf" not in form:
            form["csrf"] = await self.token()
        return await self.client.post(f"/sidecar{path}", data=form)

    async def notice(self, answer: httpx.Response) -> str:
        """Follow the redirect of a POST, and return the notice that is shown there."""
        assert answer.status_code == 303, answer.text
        page = await self.client.get(answer.headers["location"])
        found = re.search(r'<p class="notice \w+" role="status"><strong>.*?</p>', page.text)
        assert found, page.text
        return re.sub("<[^>]+>", "", found[0])

    @asynccontextmanager
    async def events(self, path: str) -> AsyncIterator["Events"]:
        """Open a page's stream, and close it at the end."""
        request = self.client.build_request("GET", f"/sidecar{path}")
        events = Events()
        scope = {
            "type": "http",
            "method": "GET",
            "path": request.url.path,
            "raw_path": request.url.raw_path,
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": "http",
            "server": ("sidecar", 80),
            "client": ("127.0.0.1", 1),
            "root_path": "",
        }
        task = asyncio.create_task(self.app(scope, events.receive, events.send))
        task.add_done_callback(events.end)
        try:
            yield events
        finally:
            events.closed.set()
            await asyncio.wait_for(task, 20)


class Events:
    """The other end of a stream."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.status = 0
        #: The application has said that nothing more comes.
        self.is_complete = False
        self.headers: dict[str, str] = {}
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._text = ""

    def end(self, task: object) -> None:
        """The application is done with the request, whether it has said so or not."""
        self._parts.put_nowait(None)

    async def receive(self) -> dict[str, Any]:
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.is_complete = not message["more_body"]
        self._parts.put_nowait(message["body"])

    async def next(self) -> tuple[str, str] | None:
        """Return the name and the data of the next event; None: the stream has ended."""
        while "\n\n" not in self._text:
            part = await asyncio.wait_for(self._parts.get(), 20)
            if part is None:
                return None
            self._text += part.decode()
        event, _, self._text = self._text.partition("\n\n")
        lines = event.split("\n")
        name = next((one[7:] for one in lines if one.startswith("event: ")), "")
        return name, "\n".join(one[6:] for one in lines if one.startswith("data: "))

    async def take(self, count: int) -> dict[str, str]:
        """Return the next events by their names."""
        found = [await self.next() for _ in range(count)]
        return dict(event for event in found if event is not None)


@asynccontextmanager
async def browse(app: Front) -> AsyncIterator[Browser]:
    """Return a browser without cookies."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sidecar") as client:
        yield Browser(client, app)
