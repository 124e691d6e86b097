<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use PDOException;
use Throwable;

/** Tells a transaction that lost against another from one that cannot succeed. */
final class Conflict
{
    /** ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, and MariaDB's ER_CHECKREAD. */
    private const CODES = [1205, 1213, 1020];

    public static function is(Throwable $error): bool
    {
        for ($cause = $error; $cause !== null; $cause = $cause->getPrevious()) {
            if ($cause instanceof PDOException && in_array((int) ($cause->errorInfo[1] ?? 0), self::CODES, true)) {
                return true;
            }
        }

        return false;
    }
}
