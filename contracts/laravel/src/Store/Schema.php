<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;

/** What the database is, and how the application's tables are made there. */
final class Schema
{
    private const SERVER = "SELECT VERSION() AS version, CONCAT(@@version_comment, ' ', VERSION()) AS described,"
        . ' UNIX_TIMESTAMP() * 1000 + MICROSECOND(NOW(3)) DIV 1000 AS now_ms, @@max_allowed_packet AS max_packet';

    /** Aliases: MySQL 8 gives the names of these columns in capitals. */
    private const COLUMNS = 'SELECT TABLE_NAME AS in_table, COLUMN_NAME AS name FROM information_schema.COLUMNS'
        . ' WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN (%s) ORDER BY TABLE_NAME, ORDINAL_POSITION';

    private const INDEXES = 'SELECT TABLE_NAME AS in_table, INDEX_NAME AS index_name, COLUMN_NAME AS name'
        . ' FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN (%s)'
        . ' ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX';

    /** @param list<string> $names the tables, by their names in config('whatsapp-sidecar.tables') */
    public function __construct(private Database $db, private array $names)
    {
    }

    /** @return array<string, mixed> the contract's DatabaseFacts */
    public function server(): array
    {
        $server = $this->db->row(self::SERVER);

        return [
            'product' => stripos($server->described, 'mariadb') === false ? 'mysql' : 'mariadb',
            'version' => $server->version,
            'now' => (int) $server->now_ms,
            'max_allowed_packet_bytes' => (int) $server->max_packet,
        ];
    }

    /** @return list<array<string, mixed>> the contract's TableFacts */
    public function tables(): array
    {
        $tables = [];
        foreach ($this->names as $name) {
            $tables[$name] = $this->db->connection()->getTablePrefix() . $this->db->table($name);
        }
        $columns = $indexes = [];
        foreach ($this->found(self::COLUMNS, $tables) as $row) {
            $columns[$row->in_table][] = $row->name;
        }
        foreach ($this->found(self::INDEXES, $tables) as $row) {
            // An index on an expression has none there.
            $indexes[$row->in_table][$row->index_name][] = (string) $row->name;
        }

        return array_map(static fn (string $name): array => [
            'name' => $name,
            'table' => $tables[$name],
            'columns' => $columns[$tables[$name]] ?? [],
            'indexes' => (object) ($indexes[$tables[$name]] ?? []),
        ], $this->names);
    }

    /**
     * @param array<string, string> $tables
     *
     * @return list<stdClass>
     */
    private function found(string $sql, array $tables): array
    {
        return $this->db->rows(sprintf($sql, Database::marks($tables)), array_values($tables));
    }
}
