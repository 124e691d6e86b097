<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

/** What is known of the crons: the models through which they read, and when they last did. */
final class Crons
{
    public function __construct(private CronModels $models, private SeenCrons $seen)
    {
    }

    /** @return list<array{table: string, models: list<string>, seen_at: ?int}> */
    public function facts(): array
    {
        return array_map(fn (string $table): array => [
            'table' => $table,
            'models' => $this->models->of($table),
            'seen_at' => $this->seen->at($table),
        ], CronModels::TABLES);
    }

    /** @return list<string> models that are configured and do not exist */
    public function missing(): array
    {
        return $this->models->missing();
    }
}
