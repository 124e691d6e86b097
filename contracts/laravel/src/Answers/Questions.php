<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Answers;

use Illuminate\Database\QueryException;
use stdClass;
use WhatsappSidecar\Laravel\Engine\Answering;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/** Customers' messages that an AI is asked about, and whether it is too late to answer one. */
final class Questions
{
    /**
     * The contact has written since; or a person has, here or on the business's phone. What bots, AIs
     * and campaigns have sent makes no answer stale; nor does what nobody answers, a reaction say.
     */
    private const STALE = 'EXISTS (SELECT 1 FROM {logs} AS later WHERE later.contacts__id = logs.contacts__id'
        . ' AND later._id > logs._id AND (later.is_incoming_message = 1 OR later.messaged_by_users__id IS NOT NULL'
        . ' OR (later.campaigns__id IS NULL AND ' . self::NOT_SYSTEM
        . " AND JSON_EXTRACT(later.__data, '$.sidecar.source') IS NULL))"
        . " AND JSON_EXTRACT(later.__data, '$.sidecar.unanswered') IS NULL"
        . " AND COALESCE(JSON_UNQUOTE(JSON_EXTRACT(later.__data, '$.message.type')), '') <> 'reaction')";

    /** Not every installation has the column. */
    private const NOT_SYSTEM = 'COALESCE(later.is_system_message, 0) = 0';

    /** ER_BAD_FIELD_ERROR */
    private const NO_SUCH_COLUMN = 1054;

    private const ROWS = 'SELECT logs._id, logs._uid, logs.vendors__id, logs.contacts__id,'
        . ' logs.wab_phone_number_id, logs.created_at, logs.messaged_at,'
        . " JSON_EXTRACT(logs.__data, '$.sidecar') AS sidecar,"
        . ' contacts.wa_id, contacts.__data AS contact_data, contacts.disable_ai_bot, ' . self::STALE . ' AS stale'
        . ' FROM {logs} AS logs LEFT JOIN {contacts} AS contacts ON contacts._id = logs.contacts__id'
        . ' WHERE logs._uid IN (%s) AND logs.is_incoming_message = 1';

    public function __construct(private Database $db)
    {
    }

    /**
     * @param list<string> $uids
     *
     * @return list<stdClass> `sidecar` is decoded
     */
    public function rows(array $uids): array
    {
        $sql = sprintf(self::ROWS, Database::marks($uids));
        try {
            $rows = $this->db->rows($sql, $uids);
        } catch (QueryException $error) {
            if ((int) ($error->errorInfo[1] ?? 0) !== self::NO_SUCH_COLUMN) {
                throw $error;
            }
            $rows = $this->db->rows(str_replace(self::NOT_SYSTEM, 'TRUE', $sql), $uids);
        }
        foreach ($rows as $row) {
            $row->sidecar = Json::object($row->sidecar);
        }

        return $rows;
    }

    /** Return why an answer comes too late; null if it does not. */
    public static function lateness(stdClass $question, int $nowMs): ?string
    {
        if ($question->stale || $question->disable_ai_bot || isset($question->sidecar->revoked_at)) {
            return 'stale';
        }

        return self::until($question) <= $nowMs ? Answering::WINDOW_CLOSED : null;
    }

    /** Return until when the question may be answered. One that another engine has stored does not say. */
    public static function until(stdClass $question): int
    {
        $createdAt = (int) Time::ms($question->created_at);

        return $question->sidecar->answer_until
            ?? Answering::until(min(Time::ms($question->messaged_at) ?? $createdAt, $createdAt));
    }
}
