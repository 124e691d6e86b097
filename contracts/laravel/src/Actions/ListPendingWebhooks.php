<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Store\WebhookBacklog;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/** Hands over webhooks that PHP stored while the sidecar was down. Deletes rows that the sidecar has taken. */
final class ListPendingWebhooks
{
    private const FIELDS = ['limit', 'max_bytes', 'taken'];

    private const MAX_ROWS = 1000;

    public function __construct(private WebhookBacklog $backlog, private Clock $clock)
    {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, self::FIELDS);
        $limit = $input->integer('limit', 0, self::MAX_ROWS, 200);
        $maxBytes = $input->integer('max_bytes', 1, PHP_INT_MAX, 8 * 1024 * 1024);
        $taken = $input->texts('taken', self::MAX_ROWS) ?? [];
        $deleted = $this->backlog->delete($taken);
        $rows = $this->backlog->oldest($limit, $maxBytes);

        return [
            'webhooks' => array_map(fn (stdClass $row): array => self::webhook($row, $this->clock->nowMs()), $rows),
            'deleted' => $deleted,
            'pending' => max(0, $this->backlog->count(count($rows) + WebhookBacklog::COUNTED) - count($rows)),
        ];
    }

    /** @return array<string, mixed> */
    private static function webhook(stdClass $row, int $nowMs): array
    {
        $headers = self::headers($row->headers);
        $encoded = ($headers[StoreWebhooks::ENCODING_HEADER] ?? null) === 'base64';
        unset($headers[StoreWebhooks::ENCODING_HEADER]);

        return [
            'uid' => $row->_uid,
            'vendor_uid' => $row->vendor_uid,
            'received_at' => Time::pastMs($row->created_at, $nowMs),
            'headers' => (object) $headers,
        ] + self::content((string) $row->payload, $encoded);
    }

    /**
     * Return headers as one text each. Applications keep lists of values too.
     *
     * @return array<string, string>
     */
    private static function headers(?string $column): array
    {
        $headers = [];
        foreach (get_object_vars(Json::object($column)) as $name => $value) {
            $headers[$name] = implode(', ', array_filter(is_array($value) ? $value : [$value], 'is_scalar'));
        }

        return $headers;
    }

    /**
     * Return what Meta sent: the payload as it is, or what stands in it as a JSON string, which is how a
     * body that no JSON column takes was stored.
     *
     * @return array<string, string>
     */
    private static function content(string $payload, bool $encoded): array
    {
        $text = str_starts_with($payload, '"') ? json_decode($payload) : null;
        if (! is_string($text)) {
            return ['body' => $payload];
        }

        return $encoded && base64_decode($text, true) !== false ? ['body_base64' => $text] : ['body' => $text];
    }
}
