<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

/** The columns of a log row that belongs to no campaign: always all of them, so that any go together, and fit. */
final class MessageRow
{
    private const COLUMNS = [
        '_uid' => null,
        'created_at' => null,
        'updated_at' => null,
        'vendors__id' => null,
        'contacts__id' => null,
        'status' => null,
        'wamid' => null,
        'contact_wa_id' => null,
        'wab_phone_number_id' => null,
        'is_incoming_message' => 0,
        'message' => null,
        'messaged_at' => null,
        'is_forwarded' => 0,
        'replied_to_whatsapp_message_logs__uid' => null,
        'messaged_by_users__id' => null,
        '__data' => null,
    ];

    /**
     * @param array<string, mixed> $values by column
     *
     * @return array<string, mixed>
     */
    public static function of(string $now, array $values): array
    {
        $values += ['created_at' => $now, 'updated_at' => $now];

        return Columns::fitRow('logs', array_replace(self::COLUMNS, $values));
    }
}
