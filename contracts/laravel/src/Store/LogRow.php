<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Uuid;

/** The columns of a log row for a send that the API accepted. */
final class LogRow
{
    /** In `__data.sidecar`: when the API accepted the message, unix ms. */
    public const ACCEPTED_AT = 'accepted_at';

    /**
     * In `__data.sidecar`: when each status was set, by its name, as Meta says, in unix seconds. Of a message that
     * is `delivered` and nothing more, `messaged_at` says it.
     */
    public const STATUSES = 'statuses';

    /**
     * @param string $wamid whole
     * @param stdClass|null $response the API's answer; null while only a status is known
     * @param array<string, mixed> $data further keys of `__data`
     * @param array<string, mixed> $sidecar further keys of `__data.sidecar`
     *
     * @return array<string, mixed>
     */
    public static function of(
        QueueRow $row,
        string $wamid,
        string $status,
        ?string $waId,
        ?string $phoneNumberId,
        ?stdClass $response,
        string $now,
        ?string $messagedAt = null,
        array $data = [],
        array $sidecar = []
    ): array {
        $campaign = Json::section($row->data(), 'campaign_data');
        $number = $phoneNumberId ?: ($campaign->fromPhoneNumberId ?? null);
        $stored = Wamid::stored($wamid);

        return Columns::fitRow('logs', [
            // Follows from row and wamid, so that the unique index keeps it from being stored twice.
            '_uid' => Uuid::of(Uuid::SENDS, "{$row->uid}:{$stored}"),
            'created_at' => $now,
            'updated_at' => $now,
            'vendors__id' => $row->vendorId,
            'contacts__id' => $row->contactId,
            'campaigns__id' => $row->campaignId,
            'status' => $status,
            'wamid' => $stored,
            'contact_wa_id' => $waId ?: (Recipient::digits($row->phone) === null ? null : $row->phone),
            'wab_phone_number_id' => is_scalar($number) && $number ? (string) $number : null,
            'is_incoming_message' => 0,
            'messaged_at' => $messagedAt,
            '__data' => Json::dump([
                'contact_data' => $row->data()->contact_data ?? null,
                'initial_response' => Json::shallow($response),
                'template_proforma' => $campaign->templateProforma ?? null,
                'template_components' => $campaign->templateComponents ?? null,
                'template_component_values' => $campaign->messageComponents ?? null,
                'sidecar' => ['queue_row_uid' => $row->uid] + $row->history() + $sidecar,
            ] + $data + Wamid::data($wamid)),
        ]);
    }
}
