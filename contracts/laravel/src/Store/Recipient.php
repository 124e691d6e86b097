<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Webhook\Envelope;

/** Whom a row of the queue is sent to. */
final class Recipient
{
    /** A user id in the column of the phone number. */
    private const USER_ID = '/\A[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]+\z/';

    /** What rows of contacts are read for of() with. */
    public const USER_ID_OF_CONTACT = "NULLIF(JSON_UNQUOTE(JSON_EXTRACT(contacts.__data, '$.user_id')), 'null')";

    /**
     * Return `to` or `recipient` of a row: its phone_with_country_code or, where that is no number, its
     * contact's user id as it is now, or as the row has it. Neither: there is nobody to send to.
     *
     * @return array{to: ?string, recipient: ?string}
     */
    public static function of(?string $phone, ?string $userId = null, ?stdClass $data = null): array
    {
        $digits = self::digits($phone);
        if ($digits !== null) {
            return ['to' => $digits, 'recipient' => null];
        }
        $written = trim((string) $phone);
        $recipient = Envelope::text($userId)
            ?? (preg_match(self::USER_ID, $written) === 1 ? $written : null)
            ?? Envelope::text(Json::section($data ?? new stdClass(), 'contact_data')->user_id ?? null);

        return ['to' => null, 'recipient' => $recipient];
    }

    /** Return the digits of phone_with_country_code; null if they are no number's. */
    public static function digits(?string $phone): ?string
    {
        $digits = preg_match('/[A-Za-z]/', (string) $phone) === 1
            ? ''
            : preg_replace('/[^0-9]/', '', (string) $phone);

        return $digits === '' ? null : $digits;
    }
}
