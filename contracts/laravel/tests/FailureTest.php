<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use Illuminate\Database\QueryException;
use LogicException;
use PDOException;
use PHPUnit\Framework\TestCase;
use RuntimeException;
use Throwable;
use WhatsappSidecar\Laravel\Support\Failure;
use WhatsappSidecar\Laravel\Webhook\Outcome;

final class FailureTest extends TestCase
{
    private const SAID = "Data too long for column 'message' at row 1";

    /** @param array{string, int, string} $info */
    private static function pdo(array $info): PDOException
    {
        $error = new PDOException("SQLSTATE[{$info[0]}]: Something: {$info[1]} {$info[2]}");
        $error->errorInfo = $info;

        return $error;
    }

    /** @param array{string, int, string} $info */
    private static function query(array $info): QueryException
    {
        $sql = 'insert into `whatsapp_message_logs` (`message`) values (?)';
        $arguments = [$sql, ["Ann Lee, 15550001111, column 'Lee'"], self::pdo($info)];
        // From Laravel 10 on.
        if (method_exists(QueryException::class, 'getConnectionName')) {
            array_unshift($arguments, 'mysql');
        }

        return new QueryException(...$arguments);
    }

    public function testAnSqlErrorSaysNoValues(): void
    {
        $query = self::query(['22001', 1406, self::SAID]);
        self::assertStringContainsString('Ann Lee', $query->getMessage());
        $said = 'SQLSTATE 22001, code 1406, table whatsapp_message_logs, column message';
        self::assertSame(QueryException::class . ": {$said}", Failure::text($query));
        self::assertSame(
            LogicException::class . ": {$said}",
            Failure::text(new LogicException('no row for Ann Lee', 0, $query))
        );
        self::assertSame(
            RuntimeException::class . ': SQLSTATE 22001, code 1406, column message',
            Failure::text(new RuntimeException($query->getMessage()))
        );
        $quoted = self::query(['22007', 1292, "Wrong value: 'column 'Lee'' for column `db`.`logs`.`messaged_at` at"]);
        self::assertStringEndsWith(', column db.logs.messaged_at', Failure::text($quoted));
        self::assertSame('it broke', Failure::message(new LogicException('it broke')));
    }

    /** @return list<array{string, Throwable}> */
    public static function outcomes(): array
    {
        $gone = new PDOException('SQLSTATE[HY000] [2002] Connection refused');

        return [
            ['rejected', self::query(['22001', 1406, self::SAID])],
            ['rejected', new RuntimeException('wrapped', 0, self::pdo(['22003', 1264, 'Out of range']))],
            ['rejected', self::query(['23000', 1048, "Column 'status' cannot be null"])],
            ['rejected', self::query(['HY000', 1366, 'Incorrect string value'])],
            ['retry', self::query(['23000', 1062, "Duplicate entry 'Ann Lee' for key 'x'"])],
            ['retry', self::query(['23000', 1452, 'Cannot add or update a child row'])],
            // The table has a column that the application does not know yet: a migration is ahead of it.
            ['retry', self::query(['HY000', 1364, "Field 'x' doesn't have a default value"])],
            ['retry', self::query(['40001', 1213, 'Deadlock found'])],
            ['retry', self::query(['HY000', 1205, 'Lock wait timeout exceeded'])],
            ['retry', self::query(['HY000', 2006, 'MySQL server has gone away'])],
            ['retry', $gone],
            ['retry', new LogicException('it broke')],
        ];
    }

    /** @dataProvider outcomes */
    #[\PHPUnit\Framework\Attributes\DataProvider('outcomes')]
    public function testWhatTheTablesNeverTakeIsRejected(string $result, Throwable $error): void
    {
        $outcome = Outcome::failed($error);
        self::assertSame($result, $outcome->result);
        self::assertStringNotContainsString('Ann Lee', (string) $outcome->reason);
    }
}
