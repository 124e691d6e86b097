"""The package inside the host's own code: in an open transaction it writes nothing of its own, and
what waits for the end of one follows it. With the cache in the database, as Laravel 11 comes."""

from typing import Any

import pytest

from tests.contract.caller import Caller
from tests.contract.laravel import LaravelBackend
from tests.contract.payloads import message, message_object
from tests.contract.under_test import Vendor
from tests.stack.called_sidecar import CalledSidecar
from tests.stack.php_code import SIDECAR, run_php

EFFECTS = "/internal/effects"
INVALIDATE = "/internal/invalidate"
DATABASE = {"CACHE_DRIVER": "database"}
DB = "Illuminate\\Support\\Facades\\DB"
PACKAGE = "WhatsappSidecar\\Laravel"
USER = "GB.98125"
LOGS = "whatsapp_message_logs"

#: Which ways a host has of beginning a transaction, and of ending it.
TRANSACTIONS = {
    "laravel": (f"{DB}::beginTransaction();", f"{DB}::commit();"),
    "rolled back": (f"{DB}::beginTransaction();", f"{DB}::rollBack();"),
    "nested": (
        f"{DB}::beginTransaction(); {DB}::beginTransaction(); {DB}::commit();",
        f"{DB}::commit();",
    ),
    "statement": (f"{DB}::unprepared('START TRANSACTION');", f"{DB}::unprepared('COMMIT');"),
    "pdo": (f"{DB}::getPdo()->beginTransaction();", f"{DB}::getPdo()->commit();"),
}

#: What the package does there, with {vendor} and {bot} for a vendor's id and its bot's uid.
HOOKS = {
    "a cron reads": "App\\Models\\QueuedMessage::query()->count();"
    "App\\Models\\StoredWebhook::query()->count();",
    "a model is saved": "App\\Models\\BotReply::where('_uid', '{bot}')->first()"
    "->update(['reply_trigger' => 'b']);",
    "settings are read": f"{SIDECAR}::vendorSettings({{vendor}});",
    "bots are read": f"{SIDECAR}::bots({{vendor}});",
    "bots are matched": f"{SIDECAR}::matchBots('Hi', {{vendor}});",
    "it says what changed": f"try {{{{ {SIDECAR}::invalidate(); }}}}"
    f" catch ({PACKAGE}\\Client\\SidecarError) {{{{ }}}}",
    "a message to a user id": f"$send = fn () => {SIDECAR}::sendMessage({{vendor}}, '{USER}',"
    " ['type' => 'text', 'text' => ['body' => 'Hello.']]); $send(); $send();",
    "a broadcast": f"{SIDECAR}::broadcast({{vendor}}, ['private-x'], 'told');",
}


#: The store of calls' ids on the application's cache: ``$make``, and ``$repository``.
MAKE_NONCES = f"""$repository = $app->make('cache')->store();
        $make = fn (int $every) => new {PACKAGE}\\Signing\\DatabaseNonces(
            $repository,
            $repository->getStore(),
            'cache',
            $app->make({PACKAGE}\\Support\\AfterTransactions::class),
            $app->make({PACKAGE}\\Support\\Clock::class),
            $every
        );
"""


def _message(vendor: Vendor) -> str:
    body = "['type' => 'text', 'text' => ['body' => 'Hello.']]"
    return f"{SIDECAR}::sendMessage({vendor.id}, '+491700000001', {body})"


def _text(vendor: Vendor, bot: str, hook: str) -> str:
    return HOOKS[hook].format(vendor=vendor.id, bot=bot)


def _run(backend: LaravelBackend, code: str, *more: dict[str, str], web: bool = False) -> Any:
    environment = {name: value for one in (DATABASE, *more) for name, value in one.items()}
    return run_php(backend.installation.application, code, environment, web=web)


async def test_no_hook_writes_into_the_cache_in_the_hosts_transaction(
    backend: LaravelBackend, caller: Caller, vendor: Vendor, bot: str, sidecar: CalledSidecar
) -> None:
    """Also where what is cached has expired, which a read of the table deletes."""
    await caller.process(message(vendor, message_object("w.1", None, from_user_id=USER)))
    hooks = "".join(
        f"'{name}' => function () use ($app) {{ {code.format(vendor=vendor.id, bot=bot)} }},"
        for name, code in HOOKS.items()
    )
    code = f"""
        $written = [];
        {DB}::listen(function ($query) use (&$written) {{
            if (preg_match('/^(?!select).*`cache`/', $query->sql)) {{ $written[] = $query->sql; }}
        }});
        foreach ([{hooks}] as $name => $hook) {{
            {DB}::table('cache')->delete();
            $hook();
            {DB}::update('UPDATE cache SET expiration = 1 WHERE `key` NOT LIKE ?', ['%:user:%']);
            $written = [];
            {DB}::transaction(function () use ($hook, $name, &$written, &$inside) {{
                $hook();
                $inside[$name] = $written;
            }});
        }}
        return $inside;
    """
    assert _run(backend, code, sidecar.variables) == {name: [] for name in HOOKS}


def test_a_cron_is_noted_when_its_transaction_has_ended(backend: LaravelBackend) -> None:
    """However it was begun and ended: it has looked."""
    ways = "".join(
        f"{{ $app->forgetInstance({PACKAGE}\\Store\\SeenCrons::class);"
        f" {DB}::table('cache')->delete(); {begin} App\\Models\\QueuedMessage::query()->count();"
        f" $found['{way}'][] = $seen(); {end} $app->terminate(); $found['{way}'][] = $seen(); }}"
        for way, (begin, end) in TRANSACTIONS.items()
    )
    code = f"""
        $seen = fn () => {DB}::table('cache')->where('key', 'like', '%:cron:queue')->count();
        {ways}
        return $found;
    """
    assert _run(backend, code) == {way: [0, 1] for way in TRANSACTIONS}


def test_a_second_cron_does_not_wait_for_the_first(backend: LaravelBackend) -> None:
    """The first one's transaction is open still; the second one's note takes no lock of it."""
    code = f"""
        $look = fn () => App\\Models\\QueuedMessage::query()->count();
        {DB}::beginTransaction(); $look();
        config(['database.connections.second' => config('database.connections.mysql')]);
        $second = {DB}::connection('second');
        $second->statement('SET innodb_lock_wait_timeout = 1');
        $second->table('cache')->upsert(
            ['key' => 'referencewhatsapp-sidecar:cron:queue', 'value' => 'i:1;', 'expiration' => 1],
            'key'
        );
        {DB}::commit();
        return 'went on';
    """
    assert _run(backend, code) == "went on"


def test_another_connections_transaction_is_the_hosts_as_well(backend: LaravelBackend) -> None:
    code = f"""
        config(['database.connections.second' => config('database.connections.mysql')]);
        $seen = fn () => {DB}::table('cache')->where('key', 'like', '%:cron:queue')->count();
        {DB}::table('cache')->delete();
        {DB}::connection('second')->beginTransaction();
        App\\Models\\QueuedMessage::query()->count(); $inside = $seen();
        {DB}::connection('second')->rollBack();
        return [$inside, $seen()];
    """
    assert _run(backend, code) == [0, 1]


def test_a_change_drops_what_is_cached_once_it_is_committed(
    backend: LaravelBackend, vendor: Vendor, bot: str, sidecar: CalledSidecar
) -> None:
    change = f"App\\Models\\BotReply::where('_uid', '{bot}')->first()->update"
    code = f"""
        $read = fn () => {SIDECAR}::bots({vendor.id})['bots'][0]['reply_trigger'];
        $found = [$read()];
        {DB}::transaction(function () use ($read, &$found) {{
            {change}(['reply_trigger' => 'b']); $found[] = $read();
        }});
        $found[] = $read();
        {DB}::beginTransaction();
        {change}(['reply_trigger' => 'c']); $found[] = $read();
        {DB}::rollBack();
        return [...$found, $read()];
    """
    assert _run(backend, code, sidecar.variables) == ["hi", "b", "b", "c", "b"]
    told = {"vendor_uids": [vendor.uid], "scopes": ["bots"]}
    assert sidecar.called(INVALIDATE) == [told]


def test_a_table_keeps_one_row_of_what_is_cached(
    backend: LaravelBackend, vendor: Vendor, bot: str, sidecar: CalledSidecar
) -> None:
    """Laravel deletes no row that nobody asks for again, however often bots change."""
    backend.run("DELETE FROM cache")
    code = f"""
        foreach (['a', 'b', 'c'] as $trigger) {{
            App\\Models\\BotReply::where('_uid', '{bot}')->first()
                ->update(['reply_trigger' => $trigger]);
            {SIDECAR}::bots({vendor.id});
        }}
        return {DB}::table('cache')->where('key', 'not like', '%:version:%')->pluck('key')->all();
    """
    assert _run(backend, code, sidecar.variables) == [f"referencewhatsapp-sidecar:bots:{vendor.id}"]


def test_a_process_remembers_no_longer_than_the_cache_does(
    backend: LaravelBackend, vendor: Vendor
) -> None:
    code = f"""
        $clock = new class extends {PACKAGE}\\Support\\Clock {{
            public int $ms = 0;
            public function nowMs(): int {{ return parent::nowMs() + $this->ms; }}
        }};
        $app->instance({PACKAGE}\\Support\\Clock::class, $clock);
        $cache = $app->make({PACKAGE}\\Cache\\VersionedCache::class);
        $read = fn ($value) => $cache->read('settings', {vendor.id}, fn () => [$value])[0];
        $found = [$read('a'), $read('b')];
        $clock->ms = 299_000; $found[] = $read('c');
        $clock->ms = 301_000; $found[] = $read('d');
        return $found;
    """
    assert _run(backend, code) == ["a", "a", "a", "d"]


def test_a_cache_that_is_broken_fails_no_save(
    backend: LaravelBackend, bot: str, sidecar: CalledSidecar
) -> None:
    code = (
        f"App\\Models\\BotReply::where('_uid', '{bot}')->first()->update(['reply_trigger' => 'b']);"
    )
    backend.run("RENAME TABLE cache TO elsewhere")
    try:
        _run(backend, code, sidecar.variables, web=True)
    finally:
        backend.run("RENAME TABLE elsewhere TO cache")
    assert backend.rows("bot_replies", _uid=bot)[0]["reply_trigger"] == "b"
    assert len(sidecar.called(INVALIDATE)) == 1
    logged = backend.installation.application.logged().splitlines()[-1]
    assert "what PHP has cached of vendors may be old for 300 s" in logged


@pytest.mark.parametrize(("code", "found"), [(1213, "thrown"), (2006, "nothing")])
def test_a_conflict_of_the_cache_is_not_swallowed(
    backend: LaravelBackend, code: int, found: str
) -> None:
    """It has undone the transaction that it was read in; any other fault is none of the host's."""
    find = f"""
        $store = new class extends Illuminate\\Cache\\ArrayStore {{
            public function get($key) {{
                $error = new PDOException('the cache');
                $error->errorInfo = ['HY000', {code}, ''];
                throw $error;
            }}
        }};
        $transactions = $app->make({PACKAGE}\\Support\\AfterTransactions::class);
        $cache = new Illuminate\\Cache\\Repository($store);
        $users = new {PACKAGE}\\Cache\\KnownUsers($cache, $transactions, false);
        try {{
            return $users->find(1, '{USER}') ?? 'nothing';
        }} catch (PDOException) {{
            return 'thrown';
        }}
    """
    assert _run(backend, find) == found


# -- what follows a commit -----------------------------------------------------------------------

#: Commits three attempts at most; what the host has waiting for the commit runs in any case.
_COMMITTED = """
    $runs = 0; $followed = false; $error = null;
    try {{
        {db}::transaction(function () use (&$runs, &$followed) {{
            $runs++;
            {work};
            {db}::connection()->afterCommit(function () use (&$followed) {{ $followed = true; }});
        }}, 3);
    }} catch (Throwable $thrown) {{
        $error = get_class($thrown) . ': ' . $thrown->getMessage();
    }}
    return [$runs, $followed, {db}::transactionLevel(), $error];
"""


def test_a_message_that_fails_after_the_commit_keeps_nothing_of_the_hosts_from_following(
    backend: LaravelBackend, vendor: Vendor
) -> None:
    code = _COMMITTED.format(db=DB, work=_message(vendor))
    runs, followed, level, error = _run(backend, code, web=True)
    assert (runs, followed, level) == (1, True, 0)
    assert "does not answer" in error
    [row] = backend.rows(LOGS, vendors__id=vendor.id)
    assert row["status"] == "pending"


def test_a_conflict_after_the_commit_does_not_have_the_host_do_its_work_again(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    """Laravel takes a deadlock of anything that follows a commit for one of the transaction."""
    del sidecar.answers[EFFECTS]
    backend.run(
        f"CREATE TRIGGER conflict BEFORE UPDATE ON {LOGS} FOR EACH ROW SIGNAL SQLSTATE '40001'"
        " SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found when trying to get lock'"
    )
    code = _COMMITTED.format(db=DB, work=_message(vendor))
    try:
        runs, followed, _, error = _run(backend, code, sidecar.variables)
    finally:
        backend.run("DROP TRIGGER conflict")
    assert (runs, followed) == (1, True)
    assert "it says no" in error
    [row] = backend.rows(LOGS, vendors__id=vendor.id)
    assert row["status"] == "pending"
    log = backend.installation.application.storage / "logs" / "laravel.log"
    assert "Deadlock found" in log.read_text()
    log.write_text("")


def test_each_message_of_a_transaction_is_posted_though_one_fails(
    backend: LaravelBackend, vendor: Vendor, sidecar: CalledSidecar
) -> None:
    del sidecar.answers[EFFECTS]
    code = _COMMITTED.format(db=DB, work=f"{_message(vendor)}; {_message(vendor)}")
    _run(backend, code, sidecar.variables)
    assert len(sidecar.called(EFFECTS)) == 2
    assert [row["status"] for row in backend.rows(LOGS, vendors__id=vendor.id)] == ["failed"] * 2


def test_a_broadcast_that_fails_after_the_commit_is_reported(
    backend: LaravelBackend, vendor: Vendor
) -> None:
    work = f"{SIDECAR}::broadcast({vendor.id}, ['private-x'], 'told')"
    answer = _run(backend, _COMMITTED.format(db=DB, work=work), web=True)
    assert answer == [1, True, 0, None]
    assert "does not answer" in backend.installation.application.logged()


# -- ids of calls --------------------------------------------------------------------------------

NONCES = f"{PACKAGE}\\Signing\\Nonces"


def _nonces(backend: LaravelBackend) -> int:
    rows = backend.run("SELECT COUNT(*) AS found FROM cache WHERE `key` LIKE '%:nonce:%'")
    return int(rows[0]["found"])


def test_a_call_is_accepted_once(backend: LaravelBackend) -> None:
    code = f"""
        $nonces = $app->make({NONCES}::class);
        $claim = fn ($nonce, $at) => $nonces->claim($nonce, $at, 600);
        return [get_class($nonces), $claim('aaaaaaaa', 7), $claim('aaaaaaaa', 7),
            $claim('AAAAAAAA', 7), $claim('aaaaaaaa', 8)];
    """
    assert _run(backend, code) == [f"{PACKAGE}\\Signing\\DatabaseNonces", True, False, True, True]


def test_old_ids_of_calls_are_deleted_and_nothing_else(backend: LaravelBackend) -> None:
    backend.run("DELETE FROM cache")
    code = f"""
        $all = [];
        {DB}::listen(function ($query) use (&$all) {{ $all[] = $query->sql; }});
        {MAKE_NONCES}
        $now = time();
        $rarely = $make(PHP_INT_MAX);
        foreach (range(1, 20) as $one) {{ $rarely->claim("old-{{$one}}", $now - 700, 600); }}
        {DB}::table('cache')->update(['expiration' => $now - 100]);
        $repository->put('of-the-host', 1, 100);
        {DB}::table('cache')->where('key', 'like', '%of-the-host')->update(['expiration' => 1]);
        $rarely->claim('that-may-come-again', $now - 599, 600);
        $make(1)->claim('of-now', $now, 600);
        return array_values(array_filter($all, fn ($sql) => str_contains($sql, 'delete')));
    """
    [delete] = _run(backend, code)
    keys = [row["key"] for row in backend.run("SELECT `key` FROM cache ORDER BY `key`")]
    assert [key.startswith("reference") for key in keys] == [True] * 3
    assert [bytes.fromhex(key.rpartition(":")[2]).decode() for key in keys[1:]] == [
        "that-may-come-again",
        "of-now",
    ]
    explained = delete.replace("delete", "SELECT *", 1)
    for value in ("'referencewhatsapp-sidecar:nonce:'", "'referencewhatsapp-sidecar:nonce:1'", "1"):
        explained = explained.replace("?", value, 1)
    [plan] = backend.run(f"EXPLAIN FORMAT=TRADITIONAL {explained}")
    assert (plan["key"], plan["type"]) == ("PRIMARY", "range")


def test_a_database_that_refuses_the_deletion_lets_the_call_through(
    backend: LaravelBackend,
) -> None:
    backend.run(
        "CREATE TRIGGER kept BEFORE DELETE ON cache FOR EACH ROW SIGNAL SQLSTATE '40001'"
        " SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found when trying to get lock'"
    )
    code = f"""
        {MAKE_NONCES}
        $make(PHP_INT_MAX)->claim('of-long-ago', 1, 1);
        {DB}::table('cache')->update(['expiration' => 1]);
        return $make(1)->claim(uniqid('of-now'), time(), 600);
    """
    try:
        assert _run(backend, code) is True
    finally:
        backend.run("DROP TRIGGER kept")
    assert _nonces(backend) > 0
