<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use Closure;
use Illuminate\Database\Connection;
use Throwable;

/** How transactions go that may lose against others. */
final class Attempts
{
    /** A transaction that has lost is made again: up to this often, and for so long. */
    private const MOST = 8;

    private const FOR_S = 10;

    /** The longest wait before the next attempt doubles with each, from this. */
    private const WAIT_US = 2000;

    /**
     * Run a function that is a whole transaction, and again if a conflict has undone it.
     *
     * @template T
     *
     * @param Closure(): T $function
     *
     * @return T
     */
    public static function again(Closure $function): mixed
    {
        $until = hrtime(true) + self::FOR_S * 1_000_000_000;
        for ($attempt = 1;; $attempt++) {
            try {
                return $function();
            } catch (Throwable $error) {
                if ($attempt >= self::MOST || hrtime(true) >= $until || ! Conflict::is($error)) {
                    throw $error;
                }
            }
            // Those who were in each other's way do not come back at the same moment.
            usleep(random_int(0, self::WAIT_US * 2 ** $attempt));
        }
    }

    /**
     * Run a function as a part of a transaction of the application's, once: a conflict has undone all that the
     * application has done in it, too, and it must hear of that.
     *
     * @template T
     *
     * @param Closure(): T $function
     *
     * @return T
     */
    public static function within(Connection $connection, Closure $function): mixed
    {
        return $connection->transaction(static function () use ($function): mixed {
            try {
                return $function();
            } catch (Throwable $error) {
                throw LostSnapshot::of($error) ?? $error;
            }
        });
    }
}
