"""All routes of the console, and what any page must be like."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.routing import Mount, Route

from contracts.console import Role
from sidecar.http.front import Front

#: What is open: the sign-in, and files.
OPEN = ("/sign-in", "/static/")

#: What stands in for the parts of a path.
_ANY = re.compile(r"\{[^}]+\}")


@dataclass(frozen=True)
class Step:
    """One method of one route, with any value in the path; ``role`` is who may."""

    method: str
    path: str
    role: Role | None

    @property
    def is_open(self) -> bool:
        return self.path.startswith(OPEN)

    @property
    def is_stream(self) -> bool:
        return self.path.endswith("/live")


def steps(app: Front) -> list[Step]:
    """Return all steps of the console."""
    [mount] = [route for route in app.routes if isinstance(route, Mount)]
    return list(_steps(mount))


def actions(app: Front) -> set[str]:
    """Return the paths of what may be pressed in the console, as its routes have them."""
    [mount] = [route for route in app.routes if isinstance(route, Mount)]
    return {
        route.path
        for route in mount.routes
        if isinstance(route, Route) and "POST" in (route.methods or ())
    }


def _steps(mount: Mount) -> Iterator[Step]:
    for route in mount.routes:
        assert isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            role = getattr(route.endpoint, "console_role", None)
            yield Step(method, _ANY.sub("any", route.path), role)


def faults(html: str) -> list[str]:
    """Return what is wrong with a page that can be told from its text."""
    found = [f"inline: {one}" for one in re.findall(r"<style|\sstyle=|\son\w+=|javascript:", html)]
    scripts = re.findall(r"<script[^>]*>[^<]*", html)
    found += [f"inline: {one}" for one in scripts if " src=" not in one or not one.endswith(">")]
    if html.count("<h1") != 1:
        found.append(f"{html.count('<h1')} first headings")
    found += [
        f"no label: {field}"
        for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", html)
        if 'type="hidden"' not in field and not _is_labelled(field, html)
    ]
    for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
        if "<caption" not in table:
            found.append("a table without a caption")
        found += [
            f"no scope: {th}" for th in re.findall(r"<th\b[^>]*>", table) if "scope" not in th
        ]
    ids = re.findall(r'\sid="([^"]*)"', html)
    found += [f"twice: id {one}" for one in set(ids) if ids.count(one) > 1]
    elsewhere = re.findall(r'(?:href|src|action)="((?:https?:)?//[^"]*)"', html)
    found += [f"leads elsewhere: {one}" for one in elsewhere]
    for form in re.findall(r"<form\b.*?</form>", html, re.DOTALL):
        is_post = 'method="post"' in form and "/sidecar/sign-in" not in form
        if is_post and 'name="csrf"' not in form:
            found.append(f"a form without a token: {form[:80]}")
    return found


def _is_labelled(field: str, html: str) -> bool:
    named = re.search(r'\sid="([^"]+)"', field)
    if "aria-label" in field or (named and f'for="{named[1]}"' in html):
        return True
    # Inside of its label.
    before = html[: html.index(field)]
    return before.rfind("<label") > before.rfind("</label>")
