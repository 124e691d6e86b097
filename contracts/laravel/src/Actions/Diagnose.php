<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use Illuminate\Database\QueryException;
use stdClass;
use Throwable;
use WhatsappSidecar\Laravel\Client\SidecarClient;
use WhatsappSidecar\Laravel\Client\SidecarError;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Media\Folder;
use WhatsappSidecar\Laravel\Signing\Keys;
use WhatsappSidecar\Laravel\Store\Crons;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Schema;
use WhatsappSidecar\Laravel\Store\WebhookBacklog;
use WhatsappSidecar\Laravel\Store\TableTimes;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Failure;
use WhatsappSidecar\Laravel\Support\Setting;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Version;

/** Reports how this side is set up, and what waits in its tables. The sidecar judges. */
final class Diagnose
{
    private const MAX_VENDORS = 100;

    private const DUE = 'SELECT vendors._uid AS vendor_uid, MIN(waiting.due_at) AS oldest_at FROM ('
        . ListDueCampaigns::WAITING . ') AS waiting'
        . ' JOIN {campaigns} AS campaigns ON campaigns._id = waiting.campaigns__id'
        . ' JOIN {vendors} AS vendors ON vendors._id = campaigns.vendors__id'
        . " WHERE waiting.due_at <= ? AND COALESCE(JSON_UNQUOTE(JSON_EXTRACT(campaigns.__data, '$.sidecar.state')),"
        . " 'running') NOT IN ('paused', 'cancelled') GROUP BY vendors._uid ORDER BY oldest_at LIMIT ?";

    private const PENDING = 'SELECT vendors._uid AS vendor_uid, MIN(oldest.created_at) AS oldest_at FROM'
        . " (SELECT vendors__id, created_at FROM {webhooks} %s WHERE status = 'pending' ORDER BY _id LIMIT 1000)"
        . ' AS oldest JOIN {vendors} AS vendors ON vendors._id = oldest.vendors__id'
        . ' GROUP BY vendors._uid ORDER BY oldest_at LIMIT ?';

    public function __construct(
        private Database $db,
        private Schema $schema,
        private Crons $crons,
        private Keys $keys,
        private SidecarClient $client,
        private Clock $clock
    ) {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, ['call_back', 'call_back_timeout_ms']);
        $token = $input->optionalText('call_back');
        $timeoutMs = $input->integer('call_back_timeout_ms', 100, 10_000, 2000);
        if ($token !== null && ($token === '' || mb_strlen($token) > 64)) {
            throw Refused::invalid('call_back: must have from 1 to 64 characters');
        }
        // Before what takes time: the sidecar compares it with its own clock.
        $now = $this->clock->nowMs();
        $errors = [];
        $due = $this->waiting($errors, self::DUE, ListDueCampaigns::INDEX, [Time::text($now), self::MAX_VENDORS]);
        $pending = $this->waiting($errors, self::PENDING, WebhookBacklog::IN_ORDER, [self::MAX_VENDORS]);

        return [
            'now' => $now,
            'database' => $this->schema->server(),
            'php' => $this->php() + ['timezone' => Time::zone()->getName(), 'rows_ahead_s' => $this->aheadS($errors)],
            'tables' => $this->schema->tables(),
            'crons' => $this->crons->facts(),
            'cron_models_missing' => $this->crons->missing(),
            'due' => $due,
            'pending_webhooks' => $pending,
            'errors' => $errors,
            'call_back' => $token === null ? null : $this->callBack($token, $timeoutMs / 1000),
        ];
    }

    /** @param list<string> $errors added to where this is the first statement to fail: a table may be missing */
    private function aheadS(array &$errors): int
    {
        try {
            return app(TableTimes::class)->aheadS();
        } catch (QueryException $error) {
            if ($errors === []) {
                $errors[] = mb_substr(Failure::message($error), 0, 500);
            }

            return 0;
        }
    }

    /** @return array<string, mixed> */
    private function php(): array
    {
        $media = app(Folder::class);

        return [
            'package' => Version::PACKAGE,
            'php' => PHP_VERSION,
            'laravel' => app()->version(),
            'post_max_bytes' => self::bytes((string) ini_get('post_max_size')),
            'memory_limit_bytes' => self::bytes((string) ini_get('memory_limit')),
            'signing_key_ids' => $this->keys->ids(),
            'signing_window_s' => Setting::window(),
            'sidecar_url' => (string) config('whatsapp-sidecar.url'),
            'media_dir' => $media->root(),
            'media_readable' => ! $media->isOn() || $media->isReadable(),
        ];
    }

    /**
     * @param list<string> $errors added to where the statement fails: a table may be missing
     * @param list<mixed> $bindings
     *
     * @return list<array<string, mixed>>
     */
    private function waiting(array &$errors, string $sql, string $index, array $bindings): array
    {
        try {
            $rows = $this->db->rowsByIndex($sql, $index, $bindings);
        } catch (QueryException $error) {
            $errors[] = mb_substr(Failure::message($error), 0, 500);

            return [];
        }

        return array_map(static fn (stdClass $row): array => [
            'vendor_uid' => $row->vendor_uid,
            'oldest_at' => Time::ms($row->oldest_at) ?? 0,
        ], $rows);
    }

    /** @return array<string, mixed> the contract's CallBack */
    private function callBack(string $token, float $timeoutS): array
    {
        $startedAt = hrtime(true);
        $found = ['status' => null, 'code' => null, 'error' => null, 'answer' => null];
        try {
            $found = ['status' => 200, 'answer' => $this->client->within($timeoutS)->ping($token)] + $found;
        } catch (Throwable $error) {
            $found['error'] = Failure::message($error);
            if ($error instanceof SidecarError) {
                $found = ['status' => $error->status, 'code' => $error->reason] + $found;
            }
        }

        return ['took_ms' => intdiv(hrtime(true) - $startedAt, 1_000_000)] + $found;
    }

    /** Return what a size of php.ini stands for; null if there is no limit. */
    private static function bytes(string $size): ?int
    {
        $factors = ['k' => 1024, 'm' => 1024 ** 2, 'g' => 1024 ** 3];
        $number = (int) $size * ($factors[strtolower(substr(trim($size), -1))] ?? 1);

        return $number > 0 ? $number : null;
    }
}
