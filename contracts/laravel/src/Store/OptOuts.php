<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;

/**
 * Whose rows of campaigns are not sent, as they stand at the claim: those of contacts who are blocked or
 * deleted; and of contacts who have opted out, those with marketing templates (with "all", every one). A
 * template whose category is not known counts as marketing. With "off" all are sent.
 */
final class OptOuts
{
    public const WORDS = ['off', 'marketing', 'all'];

    public const DEFAULT = 'marketing';

    private const MARKETING = 'MARKETING';

    /** What a row says of why it was not sent: `error_message`, by `error_status`. */
    public const MESSAGES = [
        'contact_opted_out_error' => 'Not sent: the contact has opted out.',
        'contact_blocked_error' => 'Not sent: the contact is blocked.',
        'contact_deleted_error' => 'Not sent: the contact has been deleted.',
    ];

    public function __construct(public string $word)
    {
    }

    /** Columns of contacts that why() needs, for an SQL list of them. */
    public function columns(): string
    {
        return $this->word === 'off' ? '' : ', whatsapp_opt_out, wa_blocked_at';
    }

    /**
     * Return the `error_status` of a row that is not to be sent; null for one that is.
     *
     * @param stdClass $row of the queue
     * @param stdClass|null $contact the row's, if it is there
     */
    public function why(stdClass $row, ?stdClass $contact, ?string $category): ?string
    {
        if ($this->word === 'off') {
            return null;
        }
        if ($contact === null) {
            return self::hadContact($row) ? 'contact_deleted_error' : null;
        }
        if ($contact->wa_blocked_at !== null) {
            return 'contact_blocked_error';
        }
        $counts = $this->word === 'all' || $category === null || $category === self::MARKETING;

        return $counts && $contact->whatsapp_opt_out ? 'contact_opted_out_error' : null;
    }

    /** A row may be for a bare number, which is nobody's contact. */
    private static function hadContact(stdClass $row): bool
    {
        $kept = Json::section(Json::object($row->__data), 'contact_data');

        return $row->contacts__id !== null || isset($kept->_id) || isset($kept->_uid);
    }
}
