<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use PDOException;
use Throwable;

/** Tells a transaction that lost against another from one that cannot succeed. */
final class Conflict
{
    /** MariaDB's ER_CHECKREAD, with innodb_snapshot_isolation, which is on from 11.6 on. */
    public const RECORD_CHANGED = 1020;

    /** And ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK. */
    private const CODES = [1205, 1213, self::RECORD_CHANGED];

    public static function is(Throwable $error): bool
    {
        for ($cause = $error; $cause !== null; $cause = $cause->getPrevious()) {
            if ($cause instanceof ChangedMeanwhile) {
                return true;
            }
        }

        return self::hasCode($error, ...self::CODES);
    }

    /** Tell whether an SQL error of these codes is in the chain. */
    public static function hasCode(Throwable $error, int ...$codes): bool
    {
        for ($cause = $error; $cause !== null; $cause = $cause->getPrevious()) {
            if ($cause instanceof PDOException && in_array((int) ($cause->errorInfo[1] ?? 0), $codes, true)) {
                return true;
            }
        }

        return false;
    }
}
