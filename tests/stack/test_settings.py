"""Settings of the Laravel package, as the environment has them."""

import pytest

from tests.contract.laravel import LaravelBackend
from tests.contract.under_test import Vendor
from tests.stack.php_code import run_php, vendor_config


def test_app_secrets_for_all_vendors_are_parted_as_the_sidecar_parts_them(
    backend: LaravelBackend, vendor: Vendor
) -> None:
    variables = {"WHATSAPP_SIDECAR_APP_SECRETS": "one, two ,"}
    [known] = vendor_config(backend.installation.application, vendor.uid, variables)["vendors"]
    assert known["app_secrets"] == [vendor.app_secret, "one", "two"]


@pytest.mark.parametrize(("value", "window"), [("", 300), ("60", 60), (" 60 ", 60)])
def test_the_window(backend: LaravelBackend, value: str, window: int) -> None:
    code = "return WhatsappSidecar\\Laravel\\Support\\Setting::window();"
    application = backend.installation.application
    assert run_php(application, code, {"WHATSAPP_SIDECAR_WINDOW": value}) == window


@pytest.mark.parametrize(("value", "there"), [("off", False), ("0", False), ("on", True)])
def test_the_fallback_route_is_switched_as_the_sidecars_switches_are(
    backend: LaravelBackend, value: str, there: bool
) -> None:
    code = (
        "return collect(Illuminate\\Support\\Facades\\Route::getRoutes()->getRoutes())"
        "->contains(fn ($route) => $route->uri() === 'whatsapp-webhook/{vendorUid}');"
    )
    application = backend.installation.application
    assert run_php(application, code, {"WHATSAPP_SIDECAR_FALLBACK_ROUTE": value}) is there


@pytest.mark.parametrize(
    ("variables", "message", "refusal"),
    [
        ({}, "['type' => 'order']", None),
        ({}, "['type' => 'reaction']", "type"),
        ({}, "['type' => 'text', 'group_id' => 'g']", "group"),
        ({"ANSWER_GROUPS": "on"}, "['type' => 'text', 'group_id' => 'g']", None),
        ({"ANSWER_GROUPS": "off"}, "['type' => 'text', 'group_id' => 'g']", "group"),
        ({"ANSWERED_TYPES": "text, reaction"}, "['type' => 'reaction']", None),
        ({"ANSWERED_TYPES": "text, reaction"}, "['type' => 'order']", "type"),
    ],
)
def test_what_is_answered(
    backend: LaravelBackend, variables: dict[str, str], message: str, refusal: str | None
) -> None:
    answering = "WhatsappSidecar\\Laravel\\Engine\\Answering"
    code = f"return $app->make({answering}::class)->refusal((object) {message});"
    environment = {f"WHATSAPP_SIDECAR_{name}": value for name, value in variables.items()}
    assert run_php(backend.installation.application, code, environment) == refusal
