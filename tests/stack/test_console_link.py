"""The package's way to the sidecar's console, in Laravel: off until it is switched on, and then
only for users whom a gate lets through."""

from typing import Any

import pytest

from tests.contract.laravel import LaravelBackend
from tests.stack.php_code import run_php

PATH = "/whatsapp-sidecar/console"
ON = {"WHATSAPP_SIDECAR_CONSOLE_ROUTE": "on"}

#: An admin whose users are named by a header, as if by a session; "ada" may look.
ADMIN = """
    $app->register(Illuminate\\Auth\\AuthServiceProvider::class);
    $guards = ['web' => ['driver' => 'header']];
    config(['auth' => ['defaults' => ['guard' => 'web'], 'guards' => $guards]]);
    $app['auth']->viaRequest('header', static function ($request) {
        $user = ['id' => 1, 'name' => $request->header('X-User')];
        return $user['name'] === null ? null : new Illuminate\\Auth\\GenericUser($user);
    });
    $app['router']->middlewareGroup('web', []);
    $app['router']->aliasMiddleware('auth', Illuminate\\Auth\\Middleware\\Authenticate::class);
    $gate = $app->make(Illuminate\\Contracts\\Auth\\Access\\Gate::class);
    $gate->define('viewSidecar', static fn ($user) => $user->name === 'ada');
"""
OPEN = """
    $request = Illuminate\\Http\\Request::create(getenv('OPENED'));
    $request->headers->set('Accept', 'application/json');
    if (getenv('USER_NAME')) { $request->headers->set('X-User', getenv('USER_NAME')); }
    $answer = $app->make(Illuminate\\Contracts\\Http\\Kernel::class)->handle($request);
    return [$answer->getStatusCode(), $answer->headers->get('Location')];
"""


def opened(
    backend: LaravelBackend, user: str, variables: dict[str, str], code: str = ADMIN + OPEN
) -> tuple[int, str | None]:
    """Open the route as a user, and return the status and where it leads to."""
    environment = {"OPENED": PATH, "USER_NAME": user, **variables}
    status, location = run_php(backend.installation.application, code, environment)
    return status, location


@pytest.mark.parametrize(
    ("user", "variables", "status"),
    [
        ("ada", ON, 302),
        ("bob", ON, 403),
        ("", ON, 401),
        ("ada", {}, 404),
    ],
)
def test_the_route(
    backend: LaravelBackend, user: str, variables: dict[str, str], status: int
) -> None:
    answered, location = opened(backend, user, variables)
    assert answered == status
    if status == 302:
        assert location is not None
        assert location.startswith("/sidecar/sign-in/link?name=ada&role=look&key=first&at=")


def test_where_the_console_is(backend: LaravelBackend) -> None:
    variables = {**ON, "WHATSAPP_SIDECAR_CONSOLE_URL": "https://ops.example.com/"}
    _, location = opened(backend, "ada", variables)
    assert location is not None
    assert location.startswith("https://ops.example.com/sidecar/sign-in/link?")


def test_an_address_that_is_none(backend: LaravelBackend) -> None:
    variables = {**ON, "WHATSAPP_SIDECAR_CONSOLE_URL": "javascript:alert(1)"}
    code = f"try {{ {ADMIN} $app->make(WhatsappSidecar\\Laravel\\Access\\ConsoleLink::class); }}"
    said: Any = run_php(
        backend.installation.application,
        code + " catch (InvalidArgumentException $error) { return $error->getMessage(); }",
        variables,
    )
    assert "WHATSAPP_SIDECAR_CONSOLE_URL must be an http:// or https:// address" in said


def test_name_and_middleware_of_the_route(backend: LaravelBackend) -> None:
    code = """
        $route = $app['router']->getRoutes()->getByName('whatsapp-sidecar.console');
        return [$route->uri(), $route->gatherMiddleware()];
    """
    found = run_php(backend.installation.application, code, ON)
    assert found == [PATH.lstrip("/"), ["web", "auth"]]
