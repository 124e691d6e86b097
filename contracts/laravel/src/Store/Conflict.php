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
            $code = $cause instanceof PDOException ? (int) ($cause->errorInfo[1] ?? 0) : 0;
            if ($cause instanceof MergedMeanwhile || in_array($code, self::CODES, true)) {
                return true;
            }
        }

        return false;
    }
}
