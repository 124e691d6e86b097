<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use WhatsappSidecar\Laravel\Support\Number;
use WhatsappSidecar\Laravel\Webhook\StatusRank;

/**
 * How values from outside are made to fit their columns, so that none of them can fail a write. The whole
 * value of what is cut or left out stands in `__data`.
 */
final class Columns
{
    private const TEXT_BYTES = 65535;

    /** Characters. A text that has more is cut. */
    private const TEXTS = [
        'contacts.first_name' => 150,
        'contacts.last_name' => 150,
    ];

    /** Characters. An id that has more is left out, for a part of an id is somebody else's. */
    private const IDS = [
        'contacts.wa_id' => 45,
        'logs.contact_wa_id' => 45,
        'logs.wab_phone_number_id' => 45,
        'logs.replied_to_whatsapp_message_logs__uid' => 36,
    ];

    /** @param string $table its name in config('whatsapp-sidecar.tables') */
    public static function fit(string $table, string $column, mixed $value): mixed
    {
        if (! is_string($value)) {
            return $value instanceof Number ? (string) $value : $value;
        }
        $name = "{$table}.{$column}";
        if (isset(self::IDS[$name])) {
            return mb_strlen($value) > self::IDS[$name] ? null : $value;
        }

        return match ($name) {
            'logs.wamid' => Wamid::stored($value),
            'logs.status' => StatusRank::stored($value),
            'logs.message' => mb_strcut($value, 0, self::TEXT_BYTES, 'UTF-8'),
            default => isset(self::TEXTS[$name]) ? mb_substr($value, 0, self::TEXTS[$name]) : $value,
        };
    }

    /**
     * @param array<string, mixed> $row values by column
     *
     * @return array<string, mixed>
     */
    public static function fitRow(string $table, array $row): array
    {
        foreach ($row as $column => $value) {
            $row[$column] = self::fit($table, $column, $value);
        }

        return $row;
    }
}
