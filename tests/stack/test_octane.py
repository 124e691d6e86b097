"""Two requests through one booted application, as Octane serves them: each has a clone of the
container, and what was resolved at boot lives on."""

from typing import Any

import orjson
import pytest

from contracts.backend import PROCESS_WEBHOOKS
from simulator.backend.seed_bots import SeedBot
from tests.contract.laravel import LaravelBackend
from tests.contract.talk import says
from tests.contract.under_test import Vendor
from tests.stack.called_sidecar import CalledSidecar
from tests.stack.php_code import SIDECAR, run_php

PACKAGE = "WhatsappSidecar\\Laravel"
HOST = {
    "WHATSAPP_SIDECAR_ENGINE": rf"{PACKAGE}\Engine\HostRoutineEngine",
    "WHATSAPP_SIDECAR_HOST_CLASS": r"App\HostRoutine",
    "WHATSAPP_SIDECAR_BROADCAST_CONNECTION": "log",
}

#: What laravel/octane's Worker, CurrentApplication and listeners do that the package may notice.
OCTANE = f"""
    $current = function ($one) {{
        $one->instance('app', $one);
        $one->instance(Illuminate\\Container\\Container::class, $one);
        Illuminate\\Container\\Container::setInstance($one);
        Illuminate\\Support\\Facades\\Facade::clearResolvedInstances();
        Illuminate\\Support\\Facades\\Facade::setFacadeApplication($one);
    }};
    $app->instance('request', Illuminate\\Http\\Request::create('/'));
    foreach (['cache', 'config', 'db', 'encrypter', 'events', 'log', 'router', 'url'] as $warm) {{
        $app->make($warm);
    }}
    $kernel = $app->make(Illuminate\\Contracts\\Http\\Kernel::class);
    $property = new ReflectionProperty(Illuminate\\Foundation\\Http\\Kernel::class, 'app');
    $container = new ReflectionProperty(Illuminate\\Routing\\Router::class, 'container');
    $serve = function ($handle) use ($app, $current, $kernel, $property, $container) {{
        $sandbox = clone $app;
        $current($sandbox);
        $sandbox->instance('config', clone $app->make('config'));
        foreach (['db', 'cache', Illuminate\\Broadcasting\\BroadcastManager::class] as $manager) {{
            $there = $sandbox->resolved($manager) ? $sandbox->make($manager) : null;
            if ($there !== null && method_exists($there, 'setApplication')) {{
                $there->setApplication($sandbox);
            }}
        }}
        $property->setValue($kernel, $sandbox);
        $container->setValue($sandbox->make('router'), $sandbox);
        try {{
            return $handle($sandbox);
        }} finally {{
            $sandbox->terminate();
            $sandbox->flush();
            $current($app);
        }}
    }};
    $post = function (string $path, string $body) use ($kernel, $serve) {{
        return $serve(function ($sandbox) use ($kernel, $path, $body) {{
            $signer = new {PACKAGE}\\Signing\\Signer(
                $sandbox->make({PACKAGE}\\Signing\\Keys::class),
                $sandbox->make({PACKAGE}\\Support\\Clock::class),
                {PACKAGE}\\Signing\\Signature::BACKEND
            );
            $server = ['CONTENT_TYPE' => 'application/json'];
            foreach ($signer->headers('POST', $path, $body) as $name => $value) {{
                $server['HTTP_' . strtoupper(strtr($name, '-', '_'))] = $value;
            }}
            $request = Illuminate\\Http\\Request::create($path, 'POST', [], [], [], $server, $body);
            $sandbox->instance('request', $request);
            return json_decode($kernel->handle($request)->getContent(), true);
        }});
    }};
"""


def _php(value: Any) -> str:
    return f"'{orjson.dumps(value).decode()}'"


#: What there is of broadcasts before the first request: in applications that register routes or
#: channels, more than nothing.
@pytest.mark.parametrize("at_boot", ["nothing", "the manager", "the broadcaster"])
def test_the_second_request_finds_nothing_of_the_first(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar, at_boot: str
) -> None:
    """Each update's effects go out with its own answer, and none is posted beside it."""
    other = backend.seed_vendor()
    (bot,) = backend.seed_bots(other, SeedBot("is", "match"))
    first = {"updates": [says(vendor, "broadcast first; fails at the end")]}
    second = {"updates": [says(other, "broadcast second; match", [(bot, "is")])]}
    broadcast = "Illuminate\\Support\\Facades\\Broadcast"
    boot = {
        "nothing": "",
        "the manager": "$app->make(Illuminate\\Broadcasting\\BroadcastManager::class);",
        "the broadcaster": f"{broadcast}::connection('whatsapp-sidecar');",
    }
    code = f"""
        {boot[at_boot]} {OCTANE}
        $serve(fn () => {broadcast}::connection('whatsapp-sidecar'));
        return [
            $post('{PROCESS_WEBHOOKS}', {_php(first)}),
            $post('{PROCESS_WEBHOOKS}', {_php(second)}),
            $serve(fn () => [{SIDECAR}::matchedBots(), {SIDECAR}::isHandling()]),
            $serve(fn ($one) => $one->make({PACKAGE}\\Effects\\Effects::class)->current()),
        ];
    """
    variables = {**HOST, **sidecar.variables}
    failed, done, after, current = run_php(backend.installation.application, code, variables)
    assert [one["result"] for one in failed["results"]] == ["retry"]
    [result] = done["results"]
    assert [one.get("event", one["kind"]) for one in result["effects"]] == [
        "second",
        "send_message",
    ]
    assert (after, current) == ([None, False], None)
    assert sidecar.calls == []


def test_each_request_tells_of_its_own_changes(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    other = backend.seed_vendor()
    bots = [backend.seed_bots(one, SeedBot("is", "hi"))[0] for one in (vendor, other)]
    change = (
        "$serve(fn () => App\\Models\\BotReply::where('_uid', '{}')->first()"
        "->update(['reply_trigger' => 'b']));"
    )
    read = f"$read = fn () => {SIDECAR}::bots({vendor.id})['bots'][0]['reply_trigger'];"
    code = f"""
        {OCTANE} {read}
        $found = [$serve($read)];
        {"".join(change.format(bot) for bot in bots)}
        return [...$found, $serve($read)];
    """
    found = run_php(backend.installation.application, code, sidecar.variables)
    assert found == ["hi", "b"]
    assert [body["vendor_uids"] for body in sidecar.called("/internal/invalidate")] == [
        [vendor.uid],
        [other.uid],
    ]


def test_the_process_keeps_nothing_of_a_request(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    """No singleton of the package's is made in the container that outlives the request, and each
    request gets one of its own."""
    update = {"updates": [says(vendor, "broadcast told")]}
    code = f"""
        {OCTANE}
        $post('{PROCESS_WEBHOOKS}', {_php(update)});
        $ids = [];
        foreach (['a', 'b'] as $trigger) {{
            $serve(function ($one) use (&$ids) {{
                App\\Models\\VendorSetting::query()->first()->touch();
                $effects = $one->make({PACKAGE}\\Effects\\Effects::class);
                $ids[] = $effects === $one->make({PACKAGE}\\Effects\\Effects::class);
            }});
        }}
        $property = new ReflectionProperty(Illuminate\\Container\\Container::class, 'instances');
        $isOurs = fn ($name) => str_starts_with($name, '{PACKAGE}');
        return [array_values(array_filter(array_keys($property->getValue($app)), $isOurs)), $ids];
    """
    variables = {**HOST, **sidecar.variables}
    answer = run_php(backend.installation.application, code, variables)
    assert answer == [[], [True, True]]
