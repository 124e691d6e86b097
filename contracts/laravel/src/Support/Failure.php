<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Support;

use Illuminate\Database\QueryException;
use PDOException;
use Throwable;

/**
 * What may be said of an exception in answers, columns and log lines. The message of an SQL error holds
 * the statement with its values, which are people's names, numbers and texts: of one, wherever it stands
 * in the chain, only SQLSTATE, the driver's code, table and column are said.
 */
final class Failure
{
    /** Keys: taken by another row, or a row that they lead to is missing. The next attempt may find it otherwise. */
    private const KEYS = [1022, 1062, 1169, 1216, 1217, 1451, 1452, 1557, 1586, 1761, 1762];

    /** Errors about values that have no SQLSTATE of their own (HY000). */
    private const VALUES = [1366, 3819];

    /** Return the class and what may be said. */
    public static function text(Throwable $error): string
    {
        return mb_substr(get_class($error) . ': ' . self::message($error), 0, 500);
    }

    public static function message(Throwable $error): string
    {
        $cause = self::sql($error);

        return mb_scrub($cause === null ? $error->getMessage() : self::facts($cause));
    }

    /** Tell whether the database refused a value, as it will every time. */
    public static function isData(Throwable $error): bool
    {
        $cause = self::sql($error);
        if ($cause === null) {
            return false;
        }
        $class = substr(self::state($cause), 0, 2);
        $code = self::code($cause);

        return $class === '22' || in_array($code, self::VALUES, true)
            || ($class === '23' && ! in_array($code, self::KEYS, true));
    }

    /** Return the SQL error in the chain. Whoever wraps one may repeat its message and leave it out. */
    private static function sql(Throwable $error): ?Throwable
    {
        for ($cause = $error; $cause !== null; $cause = $cause->getPrevious()) {
            if ($cause instanceof PDOException || strpos($cause->getMessage(), 'SQLSTATE[') !== false) {
                return $cause;
            }
        }

        return null;
    }

    private static function facts(Throwable $cause): string
    {
        $facts = ['SQLSTATE ' . (self::state($cause) ?: 'unknown')];
        if (self::code($cause) !== 0) {
            $facts[] = 'code ' . self::code($cause);
        }
        $table = $cause instanceof QueryException ? self::table($cause) : '';
        // The last one: a value that the message quotes stands before it, and the statement behind it.
        $message = self::info($cause)[2]
            ?? preg_replace('/ \((?:SQL|Connection): .*/s', '', $cause->getMessage());
        $column = self::found('/.*\b(?:column|field) [\'`"]([\w.`]+)[\'`"]/is', (string) $message);
        $named = array_filter(['table' => $table, 'column' => str_replace('`', '', $column)]);
        foreach ($named as $kind => $name) {
            $facts[] = "{$kind} {$name}";
        }

        return implode(', ', $facts);
    }

    private static function state(Throwable $cause): string
    {
        return (string) (self::info($cause)[0] ?? self::found('/SQLSTATE\[(\w+)\]/', $cause->getMessage()));
    }

    private static function code(Throwable $cause): int
    {
        return (int) (self::info($cause)[1]
            ?? self::found('/SQLSTATE\[\w+\][^0-9]*\b([0-9]{4})\b/', $cause->getMessage()));
    }

    /** @return array<int, mixed> SQLSTATE, the driver's code, its message; none if that is not known */
    private static function info(Throwable $cause): array
    {
        return $cause instanceof PDOException ? self::infoOf($cause) : [];
    }

    /** @return array<int, mixed> */
    private static function infoOf(PDOException $error): array
    {
        return $error->errorInfo ?? [];
    }

    private static function table(QueryException $error): string
    {
        return self::found('/\b(?:into|update|from|join)\s+[`"]?(?!json_table)([\w$.]+)/i', $error->getSql());
    }

    private static function found(string $pattern, string $text): string
    {
        return preg_match($pattern, $text, $match) ? $match[1] : '';
    }
}
