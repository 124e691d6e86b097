<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;

/** Stores raw webhooks, each id once, in PHP's own table, which its cron processes. */
final class StoreWebhooks
{
    private const MAX_WEBHOOKS = 1000;

    private const FIELDS = ['id', 'vendor_uid', 'received_at', 'headers', 'body', 'body_base64'];

    /** In the stored headers of a body that is not UTF-8: the payload is its base64. */
    public const ENCODING_HEADER = 'x-sidecar-payload-encoding';

    public function __construct(private Database $db, private Vendors $vendors, private Clock $clock)
    {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $webhooks = Input::ofBody($body, ['webhooks'])->parts('webhooks', self::FIELDS, self::MAX_WEBHOOKS);
        $uids = array_map(static fn (Input $webhook): string => $webhook->text('vendor_uid'), $webhooks);
        $vendors = $this->vendors->load($uids);
        $rows = [];
        $results = [];
        foreach ($webhooks as $webhook) {
            $id = $webhook->text('id');
            $receivedAt = $webhook->integer('received_at');
            $headers = (array) $webhook->object('headers');
            $content = self::content($headers, $webhook->optionalText('body'), $webhook->optionalText('body_base64'));
            $vendor = $vendors[$webhook->text('vendor_uid')] ?? null;
            $reason = $vendor === null ? 'vendor_unknown' : ($content === null ? 'body_missing' : null);
            if ($vendor !== null && $content !== null) {
                $rows[] = self::row($vendor, Uuid::of(Uuid::WEBHOOKS, $id), $receivedAt, ...$content);
            }
            $results[] = ['id' => $id, 'result' => $reason === null ? 'done' : 'ignored', 'reason' => $reason];
        }
        $this->db->transaction(fn () => $this->db->insertMissing('webhooks', $rows));

        return ['results' => $results];
    }

    /**
     * Store a webhook that Meta posted to PHP itself.
     *
     * @param array<string, string> $headers
     */
    public function storeRaw(Vendor $vendor, array $headers, string $body): void
    {
        $content = self::readable($headers, $body);
        $row = self::row($vendor, Uuid::random(), $this->clock->nowMs(), ...$content);
        $this->db->insertMissing('webhooks', [$row]);
    }

    /**
     * @param array<string, mixed> $headers
     *
     * @return array{array<string, mixed>, string}|null headers and payload
     */
    private static function content(array $headers, ?string $body, ?string $base64): ?array
    {
        if ($body === null && $base64 !== null) {
            $body = base64_decode($base64, true);
        }

        return $body === null || $body === false ? null : self::readable($headers, $body);
    }

    /**
     * @param array<string, mixed> $headers
     *
     * @return array{array<string, mixed>, string}
     */
    private static function readable(array $headers, string $body): array
    {
        if (mb_check_encoding($body, 'UTF-8')) {
            return [$headers, Json::column($body)];
        }

        return [[self::ENCODING_HEADER => 'base64'] + $headers, Json::dump(base64_encode($body))];
    }

    /**
     * @param array<string, mixed> $headers
     *
     * @return array<string, mixed>
     */
    private static function row(Vendor $vendor, string $uid, int $receivedAt, array $headers, string $payload): array
    {
        return [
            '_uid' => $uid,
            'created_at' => Time::text($receivedAt),
            'vendors__id' => $vendor->id,
            'headers' => Json::dump((object) $headers),
            'payload' => $payload,
            'status' => 'pending',
        ];
    }
}
