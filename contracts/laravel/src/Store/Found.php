<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Webhook\Envelope;

/** Rows of the tables, told as the contract's find does. What stands in `__data` may be of any shape. */
final class Found
{
    public function __construct(private int $nowMs)
    {
    }

    /** @return array<string, mixed> */
    public function vendor(stdClass $row): array
    {
        return ['uid' => $row->_uid, 'title' => $row->title];
    }

    /** @return array<string, mixed> */
    public function campaign(stdClass $row): array
    {
        return self::common($row) + ['title' => $row->title, 'created_at' => $this->past($row->created_at)];
    }

    /** @return array<string, mixed> */
    public function contact(stdClass $row): array
    {
        $name = implode(' ', array_filter([$row->first_name, $row->last_name]));

        return self::common($row) + [
            'wa_id' => $row->wa_id,
            'name' => $name === '' ? null : $name,
            'opted_out' => (bool) $row->whatsapp_opt_out,
            'blocked' => $row->wa_blocked_at !== null,
        ];
    }

    /** @return array<string, mixed> */
    public function row(stdClass $row): array
    {
        $data = Json::object($row->__data);
        $sidecar = Json::section($data, 'sidecar');
        $response = Json::section($data, 'process_response');

        return self::common($row) + Recipient::of($row->phone_with_country_code, $row->user_id, $data) + [
            'campaign_uid' => $row->campaign_uid,
            'status' => (int) $row->status,
            'retries' => (int) $row->retries,
            'created_at' => $this->past($row->created_at),
            'scheduled_at' => Time::ms($row->scheduled_at, $this->nowMs),
            'updated_at' => $this->past($row->updated_at),
            'claimed_at' => self::integer(Json::section($sidecar, 'claim')->at ?? null),
            'results' => self::texts($sidecar->{QueueRow::RESULTS} ?? null),
            'superseded' => self::texts($sidecar->{QueueRow::SUPERSEDED} ?? null),
            'error_status' => self::text($response->error_status ?? null),
            'error_message' => self::text($response->error_message ?? null),
        ];
    }

    /** @return array<string, mixed> */
    public function message(stdClass $row): array
    {
        $data = Json::object($row->__data);
        $sidecar = Json::section($data, 'sidecar');
        $error = Json::section($data, 'error');

        return self::common($row) + [
            'campaign_uid' => $row->campaign_uid,
            'wamid' => self::text($data->wamid ?? null) ?? $row->wamid,
            'incoming' => (bool) $row->is_incoming_message,
            'status' => $row->status,
            'wa_id' => $row->contact_wa_id,
            'phone_number_id' => $row->wab_phone_number_id,
            'created_at' => $this->past($row->created_at),
            'updated_at' => $this->past($row->updated_at),
            'messaged_at' => $this->past($row->messaged_at),
            'received_at' => self::integer($sidecar->received_at ?? null),
            'statuses' => (object) array_map(
                static fn (int $second): int => $second * 1000,
                array_filter(get_object_vars(Json::section($sidecar, LogRow::STATUSES)), 'is_int')
            ),
            'queue_row_uid' => self::text($sidecar->queue_row_uid ?? null),
            'claimed_at' => self::integer($sidecar->claimed_at ?? null),
            'accepted_at' => self::integer($sidecar->{LogRow::ACCEPTED_AT} ?? null),
            'results' => self::texts($sidecar->{QueueRow::RESULTS} ?? null),
            'error_code' => self::integer($error->code ?? null),
            'error_message' => self::text($error->message ?? null) ?? self::text($error->title ?? null),
            'reply_to' => $row->replied_to_whatsapp_message_logs__uid,
            'source' => self::text($sidecar->source ?? null),
            'unanswered' => self::text($sidecar->unanswered ?? null),
            'effects' => self::effects($sidecar),
        ];
    }

    /** @return list<string> of the messages that a row of the log has asked for, and of the one that it answers */
    public static function relatedUids(stdClass $row): array
    {
        $uids = [$row->replied_to_whatsapp_message_logs__uid];
        foreach (self::effects(Json::section(Json::object($row->__data), 'sidecar')) as $effect) {
            if ($effect['kind'] === 'send_message') {
                $uids[] = $effect['id'];
            }
        }

        return array_values(array_filter($uids));
    }

    /** Return the row of the queue that a row of the log was sent from. */
    public static function queueRowUid(stdClass $row): ?string
    {
        return self::text(Json::section(Json::object($row->__data), 'sidecar')->queue_row_uid ?? null);
    }

    /** @return array<string, mixed> */
    private static function common(stdClass $row): array
    {
        return ['uid' => $row->_uid, 'vendor_uid' => $row->vendor_uid];
    }

    /** @return list<array{kind: string, id: ?string}> */
    private static function effects(stdClass $sidecar): array
    {
        $effects = [];
        foreach (Envelope::objects($sidecar->effects ?? null) as $effect) {
            if (is_string($effect->kind ?? null)) {
                $effects[] = ['kind' => $effect->kind, 'id' => self::text($effect->id ?? null)];
            }
        }

        return $effects;
    }

    private function past(?string $text): ?int
    {
        return $text === null ? null : Time::pastMs($text, $this->nowMs);
    }

    private static function text(mixed $value): ?string
    {
        return is_string($value) ? $value : null;
    }

    private static function integer(mixed $value): ?int
    {
        return is_int($value) ? $value : null;
    }

    /** @return list<string> */
    private static function texts(mixed $values): array
    {
        return is_array($values) ? array_values(array_filter($values, 'is_string')) : [];
    }
}
