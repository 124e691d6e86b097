<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use Closure;
use Illuminate\Database\Connection;
use Illuminate\Database\ConnectionResolverInterface;
use Illuminate\Database\QueryException;
use stdClass;
use WhatsappSidecar\Laravel\Support\Json;

/**
 * The application's tables. In SQL, a name in braces stands for a table: `{queue}`.
 *
 * What is written for many rows goes as one JSON parameter, so that it is one statement however many
 * rows there are (MariaDB 10.6 or newer, MySQL 8.0.30 or newer).
 */
final class Database
{
    /** Limits of one INSERT: rows, and bytes well below the usual max_allowed_packet. */
    private const INSERT_ROWS = 1000;

    private const INSERT_BYTES = 2_000_000;

    /** ER_KEY_DOES_NOT_EXITS */
    private const NO_SUCH_INDEX = 1176;

    /** @var array<string, string> */
    private array $names = [];

    /** Whether a transaction of the package's own is open. */
    private bool $isOpen = false;

    /** @param array<string, string> $tables */
    public function __construct(
        private ConnectionResolverInterface $connections,
        private ?string $connection,
        private ?string $isolation,
        array $tables
    ) {
        foreach ($tables as $key => $table) {
            $this->names['{' . $key . '}'] = $table;
        }
    }

    public function connection(): Connection
    {
        return $this->connections->connection($this->connection);
    }

    /** Return the name of a table, without quotes and prefix. */
    public function table(string $key): string
    {
        return $this->names['{' . $key . '}'];
    }

    /**
     * @param list<mixed> $bindings
     *
     * @return list<stdClass>
     */
    public function rows(string $sql, array $bindings = []): array
    {
        return $this->connection()->select($this->sql($sql), $bindings, false);
    }

    /**
     * Return rows that are found by an index of contracts/sql/indexes.sql, if it is there. Its name
     * stands for %s in the SQL.
     *
     * @param list<mixed> $bindings
     *
     * @return list<stdClass>
     */
    public function rowsByIndex(string $sql, string $index, array $bindings): array
    {
        return $this->rowsIfIndexed($sql, $index, $bindings) ?? $this->rows(sprintf($sql, ''), $bindings);
    }

    /**
     * Return rows that are found by an index of contracts/sql/indexes.sql; null if it is not there.
     *
     * @param list<mixed> $bindings
     *
     * @return ?list<stdClass>
     */
    public function rowsIfIndexed(string $sql, string $index, array $bindings): ?array
    {
        try {
            return $this->rows(sprintf($sql, "FORCE INDEX ({$index})"), $bindings);
        } catch (QueryException $error) {
            if ((int) ($error->errorInfo[1] ?? 0) !== self::NO_SUCH_INDEX) {
                throw $error;
            }
        }

        return null;
    }

    /** @param list<mixed> $bindings */
    public function row(string $sql, array $bindings = []): ?stdClass
    {
        return $this->rows($sql, $bindings)[0] ?? null;
    }

    /**
     * Run a statement, and again after a conflict where it is a transaction by itself.
     *
     * @param list<mixed> $bindings
     *
     * @return int how many rows have changed
     */
    public function change(string $sql, array $bindings = []): int
    {
        $connection = $this->connection();
        $run = fn (): int => $connection->affectingStatement($this->sql($sql), $bindings);

        return $connection->transactionLevel() > 0 ? $run() : Attempts::again($run);
    }

    /**
     * Insert rows (all with the same columns), made to fit them, whose `_uid` is not there yet.
     *
     * @param list<array<string, mixed>> $rows
     *
     * @return bool whether all of them were certainly inserted
     */
    public function insertMissing(string $table, array $rows): bool
    {
        if ($rows === []) {
            return true;
        }
        $inserted = 0;
        $rows = array_map(static fn (array $row): array => Columns::fitRow($table, $row), $rows);
        $columns = array_keys($rows[0]);
        $mark = '(' . self::marks($columns) . ')';
        foreach (self::chunks($rows) as $chunk) {
            // INSERT IGNORE would swallow every other fault too.
            $inserted += $this->change(
                "INSERT INTO {{$table}} (" . implode(', ', $columns) . ') VALUES '
                    . implode(', ', array_fill(0, count($chunk), $mark)) . ' ON DUPLICATE KEY UPDATE _uid = _uid',
                array_merge(...array_map('array_values', $chunk))
            );
        }

        return $inserted === count($rows) && ! $this->countsFoundRows();
    }

    /**
     * Change many rows, each in its own way. In $set, `new.<name>` stands for the row's own value.
     *
     * @param array<string, string> $columns SQL types of the values, by name; `id` is the row's `_id`
     * @param list<mixed> $bindings those of $set
     * @param list<array<string, mixed>> $rows
     */
    public function changeEach(string $table, array $columns, string $set, array $bindings, array $rows): void
    {
        if ($rows === []) {
            return;
        }
        $columns = ['id' => 'BIGINT UNSIGNED'] + $columns;
        $this->change(
            'UPDATE ' . self::jsonTable($columns, 'new')
                . " STRAIGHT_JOIN {{$table}} AS old ON old._id = new.id SET {$set}",
            [Json::dump($rows), ...$bindings]
        );
    }

    /**
     * Return a table made of a JSON parameter, which must be a list of objects.
     *
     * @param array<string, string> $columns SQL types by name
     */
    public static function jsonTable(array $columns, string $alias): string
    {
        $parts = [];
        foreach ($columns as $name => $type) {
            $parts[] = "{$name} {$type} PATH '$.{$name}'";
        }

        return "JSON_TABLE(?, '$[*]' COLUMNS (" . implode(', ', $parts) . ")) AS {$alias}";
    }

    /**
     * Run the function in a transaction of its own, and again after a conflict. Within another one of the
     * package's it belongs to that; within one of the application's it is a part that is undone by itself.
     * That is never made again here: a conflict has undone all that the application did before.
     *
     * @template T
     *
     * @param Closure(): T $function
     *
     * @return T
     */
    public function transaction(Closure $function): mixed
    {
        $connection = $this->connection();
        if ($connection->transactionLevel() > 0) {
            return $this->isOpen && $connection->transactionLevel() === 1
                ? $function()
                : Attempts::within($connection, $function);
        }

        return Attempts::again(function () use ($connection, $function): mixed {
            if ($this->isolation !== null) {
                // Holds for the next transaction only.
                $connection->statement("SET TRANSACTION ISOLATION LEVEL {$this->isolation}");
            }
            $this->isOpen = true;
            try {
                return $connection->transaction($function);
            } finally {
                $this->isOpen = false;
            }
        });
    }

    /**
     * Tell whether what is read in the transaction that is open stays as it was at the first read, unless it is
     * locked. Whoever locks rows there keeps others from inserting beside them, too.
     */
    public function isRepeatable(): bool
    {
        return ! $this->isOpen || strtoupper(trim((string) $this->isolation)) !== 'READ COMMITTED';
    }

    /**
     * Run the function while no other call has this name; null if one has had it for $waitS seconds.
     *
     * @template T
     *
     * @param Closure(): T $function
     *
     * @return ?T
     */
    public function alone(string $name, int $waitS, Closure $function): mixed
    {
        // MySQL takes 64 characters, and locks are the server's, not the database's.
        $name = 'sidecar:' . sha1($this->connection()->getDatabaseName() . " {$name}");
        if ((int) $this->row('SELECT GET_LOCK(?, ?) AS got', [$name, $waitS])->got !== 1) {
            return null;
        }
        try {
            return $function();
        } finally {
            $this->row('SELECT RELEASE_LOCK(?) AS released', [$name]);
        }
    }

    /** Tell whether a row that an INSERT finds there already counts as one that has changed. */
    private function countsFoundRows(): bool
    {
        $options = (array) $this->connection()->getConfig('options');
        // PHP 8.5 deprecates the older name.
        $name = defined('Pdo\\Mysql::ATTR_FOUND_ROWS') ? 'Pdo\\Mysql::ATTR_FOUND_ROWS' : 'PDO::MYSQL_ATTR_FOUND_ROWS';

        return (bool) ($options[constant($name)] ?? false);
    }

    /** Return as many question marks as there are values. */
    public static function marks(array $values): string
    {
        return $values === [] ? 'NULL' : implode(', ', array_fill(0, count($values), '?'));
    }

    /** Return the SQL with the tables' names. */
    public function sql(string $sql): string
    {
        $prefix = $this->connection()->getTablePrefix();

        return strtr($sql, array_map(
            static fn (string $name): string => '`' . $prefix . str_replace('`', '', $name) . '`',
            $this->names
        ));
    }

    /**
     * @param list<array<string, mixed>> $rows
     *
     * @return iterable<list<array<string, mixed>>>
     */
    private static function chunks(array $rows): iterable
    {
        $chunk = [];
        $bytes = 0;
        foreach ($rows as $row) {
            $size = array_sum(array_map(static fn (mixed $value): int => strlen((string) $value), $row));
            if ($chunk !== [] && (count($chunk) >= self::INSERT_ROWS || $bytes + $size > self::INSERT_BYTES)) {
                yield $chunk;
                $chunk = [];
                $bytes = 0;
            }
            $chunk[] = $row;
            $bytes += $size;
        }
        yield $chunk;
    }
}
