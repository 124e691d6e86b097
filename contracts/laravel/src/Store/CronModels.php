<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

/** The models through which the crons read their tables, as config('whatsapp-sidecar.scoped_models') names them. */
final class CronModels
{
    /** The crons' tables, by their names in config('whatsapp-sidecar.tables'), and what each cron does. */
    private const CAPABILITIES = ['queue' => 'campaigns', 'webhooks' => 'webhooks'];

    public const TABLES = ['queue', 'webhooks'];

    /** @param array<string, list<string>> $classes by capability */
    public function __construct(private array $classes, private Database $db)
    {
    }

    /** @return list<string> classes that exist, and stand under the capability that the table is for */
    public function of(string $table): array
    {
        return array_values(array_filter(
            $this->classes[self::CAPABILITIES[$table]] ?? [],
            fn (string $class): bool => class_exists($class)
                && (new $class())->getTable() === $this->db->table($table)
        ));
    }

    /** @return list<string> classes that do not exist */
    public function missing(): array
    {
        return array_values(array_filter(
            array_merge(...array_values($this->classes)),
            static fn (string $class): bool => ! class_exists($class)
        ));
    }
}
