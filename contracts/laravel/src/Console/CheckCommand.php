<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Console;

use Illuminate\Console\Command;
use Throwable;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Client\SidecarError;
use WhatsappSidecar\Laravel\Engine\Engine;
use WhatsappSidecar\Laravel\Engine\HostRoutineEngine;
use WhatsappSidecar\Laravel\Signing\Keys;
use WhatsappSidecar\Laravel\Store\BroadcastConnection;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\OldestServer;
use WhatsappSidecar\Laravel\Store\OptOuts;
use WhatsappSidecar\Laravel\Store\Schema;
use WhatsappSidecar\Laravel\Store\TableTimes;
use WhatsappSidecar\Laravel\Support\Failure;

/** Tests what the installation needs, the signed round trip to the sidecar included. */
final class CheckCommand extends Command
{
    protected $signature = 'whatsapp-sidecar:check';

    protected $description = 'Test signing keys, tables, indexes, the webhook routine and the way to the sidecar';

    private const INDEXES = [
        'queue' => ['sidecar_queue_due', 'sidecar_queue_claim', 'sidecar_queue_stale'],
        'logs' => ['sidecar_logs_wamid', 'sidecar_logs_campaign'],
        'contacts' => ['sidecar_contacts_wa_id'],
        'webhooks' => ['sidecar_webhooks_order', 'sidecar_webhooks_vendor'],
        'vendor_settings' => ['sidecar_settings_name'],
    ];

    private bool $failed = false;

    public function handle(Database $db, SidecarClient $client): int
    {
        $this->attempt('signing keys', fn (): string => app(Keys::class)->signing()[0] . ' signs');
        $this->attempt('database', fn (): string => $this->server(app(Schema::class)->server()));
        foreach (array_keys(config('whatsapp-sidecar.tables')) as $table) {
            $this->attempt("table {$db->table($table)}", function () use ($db, $table): string {
                $db->rows("SELECT _id FROM {{$table}} LIMIT 1");

                return 'found';
            });
        }
        $this->attempt('time zone', fn (): string => app(TableTimes::class)->check());
        $this->attempt('indexes', fn (): string => $this->indexes($db));
        $this->attempt('campaign_opt_outs', fn (): string => app(OptOuts::class)->word);
        $this->attempt('engine', fn (): string => $this->engine());
        $this->attempt('broadcasts', fn (): string => $this->broadcasts());
        $this->attempt('sidecar', fn (): string => 'healthz says ' . ($client->health()['status'] ?? 'nothing'));
        $this->attempt('signed round trip', fn (): string => $this->roundTrip($client));

        return $this->failed ? 1 : 0;
    }

    private function attempt(string $what, callable $check): void
    {
        try {
            $this->line("ok      {$what}: {$check()}");
        } catch (Throwable $error) {
            $this->failed = true;
            $this->line("FAILED  {$what}: " . Failure::message($error));
        }
    }

    /** @param array<string, mixed> $server the contract's DatabaseFacts */
    private function server(array $server): string
    {
        return OldestServer::check($server['product'], $server['version']);
    }

    private function indexes(Database $db): string
    {
        $missing = [];
        foreach (self::INDEXES as $table => $names) {
            $found = array_column($db->rows("SHOW INDEX FROM {{$table}}"), 'Key_name');
            array_push($missing, ...array_diff($names, $found));
        }
        if ($missing !== []) {
            throw new SidecarError(implode(', ', $missing) . ' missing; run contracts/sql/indexes.sql');
        }

        return 'all there';
    }

    /** No broadcasts are no fault; that they are silent is said. */
    private function broadcasts(): string
    {
        $name = config('whatsapp-sidecar.broadcast.connection');
        $server = BroadcastConnection::broadcaster(config("broadcasting.connections.{$name}"));

        return "the application's events go to the connection '" . (config('broadcasting.default') ?? 'null')
            . "'; announcements go to " . ($server === null
                ? "vendors' own servers alone, for '{$name}' has no app_id, key and secret"
                : "'{$name}' or vendors' own servers");
    }

    private function engine(): string
    {
        $engine = app(Engine::class);
        if ($engine instanceof HostRoutineEngine) {
            $engine->check();
        }

        return get_class($engine);
    }

    /** The sidecar refuses an unknown campaign only after it has accepted the signature. */
    private function roundTrip(SidecarClient $client): string
    {
        try {
            $client->progress('sidecar-check');
        } catch (SidecarError $error) {
            if ($error->reason !== 'campaign_unknown') {
                throw $error;
            }
        }

        return 'the sidecar accepts our signature, and reached us to look for a campaign';
    }
}
