"""Models that have changed: the sidecar is told, and what is cached of them is dropped."""

import uuid

import pytest

from tests.contract.laravel import LaravelBackend
from tests.contract.under_test import Vendor
from tests.stack.called_sidecar import CalledSidecar
from tests.stack.php_code import SIDECAR, run_php

INVALIDATE = "/internal/invalidate"


def _change(bot: str, trigger: str) -> str:
    found = f"App\\Models\\BotReply::where('_uid', '{bot}')->first()"
    return f"{found}->update(['reply_trigger' => '{trigger}']);"


def _setting(vendor: Vendor, name: str, value: str) -> str:
    return (
        f"App\\Models\\VendorSetting::forceCreate(['_uid' => '{uuid.uuid4()}',"
        f" 'vendors__id' => {vendor.id}, 'name' => '{name}', 'value' => '{value}']);"
    )


def test_a_web_request_tells_once(
    backend: LaravelBackend, vendor: Vendor, bot: str, sidecar: CalledSidecar
) -> None:
    other = backend.seed_vendor()
    code = _change(bot, "a") + _change(bot, "b") + _setting(other, "x", "1")
    run_php(backend.installation.application, code, sidecar.variables)
    (body,) = sidecar.called(INVALIDATE)
    assert set(body["vendor_uids"]) == {vendor.uid, other.uid}
    assert body["scopes"] == ["bots", "settings"]


def test_on_the_command_line_each_commit_tells(
    backend: LaravelBackend, vendor: Vendor, bot: str, sidecar: CalledSidecar
) -> None:
    two = f"DB::transaction(function () {{ {_change(bot, 'a')} {_change(bot, 'b')} }});"
    code = f"use Illuminate\\Support\\Facades\\DB; {two} {_change(bot, 'c')}"
    run_php(
        backend.installation.application,
        code.replace(
            "use Illuminate\\Support\\Facades\\DB; DB", "Illuminate\\Support\\Facades\\DB"
        ),
        sidecar.variables,
        web=False,
    )
    told = {"vendor_uids": [vendor.uid], "scopes": ["bots"]}
    assert sidecar.called(INVALIDATE) == [told, told]


@pytest.mark.parametrize("web", [True, False])
def test_what_is_rolled_back_is_not_told(
    backend: LaravelBackend, bot: str, sidecar: CalledSidecar, web: bool
) -> None:
    database = "Illuminate\\Support\\Facades\\DB"
    code = f"{database}::beginTransaction(); {_change(bot, 'a')} {database}::rollBack();"
    run_php(backend.installation.application, code, sidecar.variables, web=web)
    assert sidecar.calls == []


def test_a_vendor_and_what_is_deleted(
    backend: LaravelBackend, vendor: Vendor, bot: str, sidecar: CalledSidecar
) -> None:
    code = f"App\\Models\\BotReply::where('_uid', '{bot}')->first()->delete();"
    run_php(backend.installation.application, code, sidecar.variables)
    code = f"App\\Models\\Vendor::find({vendor.id})->delete();"
    run_php(backend.installation.application, code, sidecar.variables)
    assert sidecar.called(INVALIDATE) == [
        {"vendor_uids": [vendor.uid], "scopes": [scope]} for scope in ("bots", "settings")
    ]


@pytest.mark.parametrize("strict", [False, True])
def test_a_model_that_was_loaded_without_its_vendor(
    backend: LaravelBackend, bot: str, sidecar: CalledSidecar, strict: bool
) -> None:
    """Of strict models, Laravel 9.35 and newer throw for what was not loaded, after the row was
    written. Whose it is, nobody knows: so it is everybody's."""
    code = f"""
        App\\Models\\BotReply::select('_id', 'reply_trigger')->where('_uid', '{bot}')->first()
            ->update(['reply_trigger' => 'new']);
    """
    variables = {**sidecar.variables, "APP_STRICT_MODELS": str(int(strict))}
    run_php(backend.installation.application, code, variables)
    assert sidecar.called(INVALIDATE) == [{"vendor_uids": None, "scopes": ["bots"]}]
    assert backend.rows("bot_replies", _uid=bot)[0]["reply_trigger"] == "new"


def test_no_accessor_of_a_model_is_asked(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    """As a strict model's, of a newer Laravel, throw; or as the host's own make something else of
    a column."""
    code = """
        $model = new class extends Illuminate\\Database\\Eloquent\\Model {
            protected $table = 'bot_replies';
            protected $casts = ['vendors__id' => 'date'];
            public function getAttribute($key) { throw new LogicException('not loaded'); }
            public function getOriginal($key = null, $default = null) { throw new Error(); }
            public function getVendorsIdAttribute() { throw new LogicException(); }
        };
        $model->setRawAttributes(['vendors__id' => %d], true);
        $app->make(WhatsappSidecar\\Laravel\\Cache\\ChangedModels::class)->changed('bots', $model);
    """
    run_php(backend.installation.application, code % vendor.id, sidecar.variables)
    told = {"vendor_uids": [vendor.uid], "scopes": ["bots"]}
    assert sidecar.called(INVALIDATE) == [told]


def test_without_a_sidecar_nothing_fails(backend: LaravelBackend, vendor: Vendor, bot: str) -> None:
    application = backend.installation.application
    assert run_php(application, _change(bot, "a") + "return 'went on';") == "went on"
    assert backend.rows("bot_replies", _uid=bot)[0]["reply_trigger"] == "a"
    logged = application.logged().splitlines()[-1]
    assert "Could not tell the sidecar that bots of 1 vendor(s) have changed" in logged
    assert "does not answer" in logged


def test_cached_reads_see_a_change_at_once(
    backend: LaravelBackend, vendor: Vendor, bot: str, sidecar: CalledSidecar
) -> None:
    application = backend.installation.application
    bots = f"{SIDECAR}::bots('{vendor.uid}')"
    read = f"$read = fn () => {bots}['bots'][0]['reply_trigger'];"
    both = f"{read} $before = $read(); {_change(bot, 'new')} return [$before, $read()];"
    assert run_php(application, f"{read} return $read();") == "hi"
    assert run_php(application, both, sidecar.variables) == ["hi", "new"]
    assert run_php(application, f"{read} return $read();") == "new"


def test_cached_reads_ask_the_database_once(backend: LaravelBackend, vendor: Vendor) -> None:
    application = backend.installation.application
    read = f"return {SIDECAR}::vendorSettings({vendor.id});"
    settings = run_php(application, read)
    assert settings["whatsapp_access_token"] == vendor.access_token
    before = backend.database.statements()
    assert run_php(application, read) == settings
    assert backend.database.statements() == before


def test_the_cache_holds_no_secret_in_the_clear(backend: LaravelBackend, vendor: Vendor) -> None:
    application = backend.installation.application
    backend.set_setting(vendor, "ai_providers", '[{"api_key": "sk-very-secret"}]')
    read = f"return {SIDECAR}::vendorSettings({vendor.id})['ai_providers'];"
    assert "sk-very-secret" in run_php(application, read)
    files = [
        file for file in (application.storage / "framework/cache").rglob("*") if file.is_file()
    ]
    assert files
    assert not [file for file in files if b"sk-very-secret" in file.read_bytes()]


def test_a_reader_who_is_slow_caches_nothing_old(backend: LaravelBackend, vendor: Vendor) -> None:
    """It has read the tables before a change, and stores what it has read after it."""
    code = f"""
        $cache = $app->make(WhatsappSidecar\\Laravel\\Cache\\VersionedCache::class);
        $cache->read('bots', {vendor.id}, function () use ($cache) {{
            $cache->drop('bots', [{vendor.id}]);
            return ['old'];
        }});
        return $cache->read('bots', {vendor.id}, fn () => ['new']);
    """
    assert run_php(backend.installation.application, code) == ["new"]


def test_a_change_of_everybodys_drops_everything(backend: LaravelBackend, vendor: Vendor) -> None:
    code = f"""
        $cache = $app->make(WhatsappSidecar\\Laravel\\Cache\\VersionedCache::class);
        $read = fn ($value) => $cache->read('settings', {vendor.id}, fn () => [$value]);
        $values = [$read('a'), $read('b')];
        $cache->drop('settings', null);
        return [...$values, $read('c')];
    """
    assert run_php(backend.installation.application, code) == [["a"], ["a"], ["c"]]


def test_what_goes_past_the_models_is_told_by_hand(
    backend: LaravelBackend, vendor: Vendor, bot: str, sidecar: CalledSidecar
) -> None:
    application = backend.installation.application
    read = f"return {SIDECAR}::bots({vendor.id})['bots'][0]['reply_trigger'];"
    assert run_php(application, read) == "hi"
    backend.change("bot_replies", {"reply_trigger": "new"}, _uid=bot)
    assert run_php(application, read) == "hi"
    tell = f"{SIDECAR}::invalidate(['{vendor.uid}', 'nobody'], ['bots']);"
    run_php(application, tell, sidecar.variables)
    assert run_php(application, read) == "new"
    told = {"vendor_uids": [vendor.uid, "nobody"], "scopes": ["bots"]}
    assert sidecar.called(INVALIDATE) == [told]
