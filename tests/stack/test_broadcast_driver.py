"""Laravel's broadcast driver "whatsapp-sidecar": events leave as effects."""

import pytest

from tests.contract.laravel import LaravelBackend
from tests.contract.under_test import Vendor
from tests.stack.called_sidecar import CalledSidecar
from tests.stack.php_code import run_php

EFFECTS = "/internal/effects"
DRIVER = {"BROADCAST_DRIVER": "whatsapp-sidecar", "WHATSAPP_SIDECAR_BROADCAST_CONNECTION": "log"}
BROADCAST = "Illuminate\\Support\\Facades\\Broadcast"

#: A connection that answers who may listen by the channels that it was told.
INNER = """
    $inner = new class extends Illuminate\\Broadcasting\\Broadcasters\\Broadcaster {
        public array $sent = [];
        public function auth($request) { return array_keys($this->channels); }
        public function validAuthenticationResponse($request, $result) { return [$result]; }
        public function broadcast(array $channels, $event, array $payload = []) {
            $this->sent[] = [array_map('strval', $channels), $event, $payload];
        }
    };
    $app->make(Illuminate\\Broadcasting\\BroadcastManager::class)->extend('log', fn () => $inner);
"""


def test_an_event_is_posted_for_its_vendor(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    code = f"""
        $channel = new Illuminate\\Broadcasting\\PrivateChannel('vendor-channel.{vendor.uid}');
        {BROADCAST}::connection()->broadcast([$channel], 'told', ['a' => 1, 'socket' => '1.2']);
    """
    run_php(backend.installation.application, code, {**DRIVER, **sidecar.variables})
    (body,) = sidecar.called(EFFECTS)
    assert body == {
        "vendor_uid": vendor.uid,
        "effects": [
            {
                "kind": "broadcast",
                "channels": [f"private-vendor-channel.{vendor.uid}"],
                "event": "told",
                "data": {"a": 1},
                "socket_id": "1.2",
            }
        ],
    }


@pytest.mark.parametrize(
    ("variables", "read", "default"),
    [
        ({"BROADCAST_CONNECTION": "whatsapp-sidecar"}, "BROADCAST_DRIVER", "whatsapp-sidecar"),
        ({"BROADCAST_DRIVER": "whatsapp-sidecar"}, "BROADCAST_CONNECTION", "whatsapp-sidecar"),
        (
            {"BROADCAST_CONNECTION": "log", "BROADCAST_DRIVER": "whatsapp-sidecar"},
            "BROADCAST_CONNECTION",
            "log",
        ),
    ],
)
def test_either_name_of_the_variable_chooses_the_driver(
    backend: LaravelBackend, variables: dict[str, str], read: str, default: str
) -> None:
    """Laravel 11 calls it otherwise than those before: config/broadcasting.php reads one of the
    names, and the other would be ignored in silence."""
    code = f"""
        config(['broadcasting.default' => env('{read}', 'null')]);
        WhatsappSidecar\\Laravel\\Hooks::register($app);
        return {BROADCAST}::getDefaultDriver();
    """
    assert run_php(backend.installation.application, code, variables) == default


def test_an_events_vendors_are_parted_and_its_many_channels_too(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    other = backend.seed_vendor()
    code = f"""
        $names = array_fill(0, 150, 'private-vendor-channel.{vendor.uid}');
        $names = ['private-vendor-channel.{other.uid}', ...$names];
        {BROADCAST}::connection()->broadcast($names, 'told');
    """
    run_php(backend.installation.application, code, {**DRIVER, **sidecar.variables})
    posted = [
        (body["vendor_uid"], len(body["effects"][0]["channels"]))
        for body in sidecar.called(EFFECTS)
    ]
    assert posted == [(other.uid, 1), (vendor.uid, 100), (vendor.uid, 50)]


def test_what_is_no_vendors_goes_its_old_way(
    backend: LaravelBackend, sidecar: CalledSidecar
) -> None:
    code = f"""{INNER}
        {BROADCAST}::connection()->broadcast(['admins'], 'told', ['a' => 1, 'socket' => null]);
        return $inner->sent;
    """
    answer = run_php(backend.installation.application, code, {**DRIVER, **sidecar.variables})
    assert answer == [[["admins"], "told", {"a": 1}]]
    assert sidecar.calls == []


def test_the_old_connection_says_who_may_listen(backend: LaravelBackend) -> None:
    """Also by channels that the application registers after it was asked first."""
    code = f"""{INNER}
        {BROADCAST}::channel('first', fn () => true);
        $driver = {BROADCAST}::connection();
        $request = new Illuminate\\Http\\Request();
        $asked = [$driver->auth($request)];
        {BROADCAST}::channel('second', fn () => true);
        $asked[] = $driver->auth($request);
        return [...$asked, $driver->validAuthenticationResponse($request, 1)];
    """
    answer = run_php(backend.installation.application, code, DRIVER)
    assert answer == [["first"], ["first", "second"], [1]]


def test_without_a_connection_the_error_says_what_to_do(backend: LaravelBackend) -> None:
    code = f"""
        try {{
            {BROADCAST}::connection()->broadcast(['admins'], 'told');
        }} catch (LogicException $error) {{
            return $error->getMessage();
        }}
    """
    variables = {**DRIVER, "WHATSAPP_SIDECAR_BROADCAST_CONNECTION": "nothing"}
    message = run_php(backend.installation.application, code, variables)
    assert "admins" in message
    assert "whatsapp-sidecar.broadcast.connection" in message


def test_without_a_sidecar_it_fails_as_drivers_do(backend: LaravelBackend, vendor: Vendor) -> None:
    code = f"""
        try {{
            {BROADCAST}::connection()->broadcast(['private-vendor-channel.{vendor.uid}'], 'told');
        }} catch (Illuminate\\Broadcasting\\BroadcastException $error) {{
            return $error->getMessage();
        }}
    """
    assert "does not answer" in run_php(backend.installation.application, code, DRIVER)
