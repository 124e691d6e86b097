"""A cache store that falls back to others (Laravel 12's ``failover``): one that may write to a
table is taken for one that does."""

from pathlib import Path
from typing import Any

from tests.contract.laravel import LaravelBackend
from tests.stack.php_code import run_php
from tests.stack.test_host_transactions import NONCES, PACKAGE

#: Redis does not answer.
_CONFIGURED = f"""
    require '{Path(__file__).with_name("failover_store.php")}';
    $use = static function (string ...$stores): void {{
        config([
            'cache.default' => 'failover',
            'cache.stores.failover' => ['driver' => 'failover', 'stores' => $stores],
            'cache.stores.redis' => ['driver' => 'redis', 'connection' => 'nowhere'],
        ]);
    }};
"""


def _run(backend: LaravelBackend, code: str) -> Any:
    return run_php(backend.installation.application, _CONFIGURED + code)


def test_ids_of_calls_are_deleted_from_the_table(backend: LaravelBackend) -> None:
    code = f"""
        $use('redis', 'database');
        $nonces = $app->make({NONCES}::class);
        $claim = static fn () => $nonces->claim('failover', 7, 600);
        return [get_class($nonces), $claim(), $claim()];
    """
    assert _run(backend, code) == [f"{PACKAGE}\\Signing\\DatabaseNonces", True, False]


def test_where_ids_of_calls_are_kept_without_a_table(backend: LaravelBackend) -> None:
    """In files, if none of the stores cleans up."""
    code = f"""
        $kept = static function (string ...$stores) use ($app, $use): string {{
            $use(...$stores);
            $app->forgetInstance({NONCES}::class);
            return class_basename($app->make({NONCES}::class));
        }};
        return [$kept('redis', 'array'), $kept('file', 'array')];
    """
    assert _run(backend, code) == ["CacheNonces", "FileNonces"]


def test_nothing_expires_in_the_table(backend: LaravelBackend) -> None:
    """Whoever reads what has expired deletes it, also in a transaction of the host's; and the store
    keeps the conflict of that to itself."""
    code = f"""
        $use('redis', 'database');
        $app->make({PACKAGE}\\Cache\\KnownUsers::class)->keep(1, 'GB.failover', 2);
        return $app->make('cache')->get('whatsapp-sidecar:user:1:' . sha1('GB.failover'));
    """
    assert _run(backend, code) == 2
    [row] = backend.run(
        "SELECT MAX(expiration) - UNIX_TIMESTAMP() AS left_s FROM cache WHERE `key` LIKE ?",
        ("%:user:1:%",),
    )
    assert row["left_s"] > 5 * 365 * 86400
