<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use PDOException;
use Throwable;

/**
 * MariaDB's ER_CHECKREAD as a deadlock, which it is as good as: another transaction has changed what this
 * one has read, and the server has undone all of this one. Laravel does not know it before version 11: it would go
 * back to a savepoint that is no more, and count a transaction as open from then on.
 */
final class LostSnapshot extends PDOException
{
    private const SQLSTATE = '40001';

    /** By which Laravel knows one. */
    private const DEADLOCK = 'Deadlock found when trying to get lock: ';

    /** Return the error by its other name; null if it is none. */
    public static function of(Throwable $error): ?self
    {
        if (! Conflict::hasCode($error, Conflict::RECORD_CHANGED)) {
            return null;
        }
        // From Laravel 9 on, only the message tells the outer transaction.
        $lost = new self(self::DEADLOCK . $error->getMessage(), 0, $error);
        $lost->code = self::SQLSTATE;
        $lost->errorInfo = [self::SQLSTATE, Conflict::RECORD_CHANGED, $error->getMessage()];

        return $lost;
    }
}
