<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Effects;

use stdClass;
use WhatsappSidecar\Laravel\Engine\MessageText;
use WhatsappSidecar\Laravel\Store\ContactRows;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\MessageRow;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;

/**
 * Messages that the sidecar is asked to send: rows of the log whose `_uid` is the effect's id. The
 * effect is kept in `__data.effect`.
 */
final class PendingMessages
{
    public const STATUS = 'pending';

    private const PENDING = "SELECT _uid, created_at, JSON_EXTRACT(__data, '$.effect') AS effect FROM {logs}"
        . " WHERE _uid IN (%s) AND status = 'pending' AND wamid IS NULL";

    /** In the index, those of a vendor that no wamid is known of stand together. */
    private const ALL_PENDING = 'SELECT logs._id FROM {logs} AS logs %s WHERE logs.vendors__id IN (%s)'
        . " AND logs.wamid IS NULL AND logs.status = 'pending'"
        . " AND JSON_TYPE(JSON_EXTRACT(logs.__data, '$.effect')) = 'OBJECT'";

    private const MOST = 1000;

    private const MAYBE_SENT = 'Redis has gone back in time: the message may have been sent.';

    public function __construct(private Database $db, private ContactRows $contacts)
    {
    }

    /**
     * Return the `_id` of the contact that a message goes to, if there is one.
     *
     * @param array<string, mixed> $effect a SendMessage of the contract
     */
    public function contactId(Vendor $vendor, array $effect): ?int
    {
        $row = $this->contacts->byNumber($vendor, $effect['to'] ?? null)
            ?? $this->contacts->byUserId($vendor, $effect['recipient'] ?? null);

        return $row === null ? null : (int) $row->_id;
    }

    /**
     * Return the log row of a message that is to be sent.
     *
     * @param array<string, mixed> $effect a SendMessage of the contract
     * @param string $source who has written it, which is no person unless $columns say so
     * @param array<string, mixed> $columns further columns of the row
     *
     * @return array<string, mixed>
     */
    public static function row(
        Vendor $vendor,
        array $effect,
        ?int $contactId,
        string $source,
        string $now,
        array $columns = []
    ): array {
        return MessageRow::of($now, $columns + [
            '_uid' => $effect['id'],
            'vendors__id' => $vendor->id,
            'contacts__id' => $contactId,
            'status' => self::STATUS,
            'contact_wa_id' => $effect['to'] ?? null,
            'wab_phone_number_id' => $effect['phone_number_id'] ?? $vendor->setting('current_phone_number_id'),
            'message' => MessageText::of(Json::read(Json::dump($effect['message']))),
            'messaged_at' => $now,
            '__data' => Json::dump(['effect' => $effect, 'sidecar' => ['source' => $source]]),
        ]);
    }

    /**
     * @param list<array<string, mixed>> $rows those that are not there yet are stored
     *
     * @return bool whether certainly none of them was there
     */
    public function store(array $rows): bool
    {
        return $this->db->insertMissing('logs', $rows);
    }

    /**
     * Return the effects of those messages of which it is not known what became of them, as they are asked for
     * again.
     *
     * @param list<string> $uids
     *
     * @return array<string, stdClass> by uid
     */
    public function effects(array $uids): array
    {
        if ($uids === []) {
            return [];
        }
        $effects = [];
        foreach ($this->db->rows(sprintf(self::PENDING, Database::marks($uids)), $uids) as $row) {
            $effects[$row->_uid] = self::again($row);
        }

        return $effects;
    }

    /**
     * Return effects without the messages that have no pending row.
     *
     * @param list<array<string, mixed>> $effects
     *
     * @return list<array<string, mixed>>
     */
    public function standing(array $effects): array
    {
        $isMessage = static fn (array $effect): bool => $effect['kind'] === 'send_message';
        $pending = $this->effects(array_column(array_filter($effects, $isMessage), 'id'));

        return array_values(array_filter(
            $effects,
            static fn (array $effect): bool => ! $isMessage($effect) || isset($pending[$effect['id']])
        ));
    }

    /**
     * Return the effect of a message of which it is not known what became of it, as it is asked for again,
     * whichever transaction has stored it; null if it is known.
     */
    public function waiting(string $uid): ?stdClass
    {
        // A row that another call has stored since the application's transaction began is seen by a locking read.
        $rows = $this->db->rows(sprintf(self::PENDING, '?') . ' FOR UPDATE', [$uid]);

        return $rows === [] ? null : self::again($rows[0]);
    }

    /**
     * Return the effect of a row as it is asked for again. With `asked_at` the sidecar tells whether it may have
     * taken it before it lost its memory. Where that hour comes twice, it is the first.
     *
     * @param stdClass $row created_at, and the effect as text
     */
    public static function again(stdClass $row): stdClass
    {
        $effect = Json::object($row->effect);
        $effect->asked_at = (int) Time::ms($row->created_at);

        return $effect;
    }

    /**
     * All that are pending may have been sent: none is sent again.
     *
     * @return int how many
     */
    public function settleAll(string $now): int
    {
        $vendors = array_column($this->db->rows('SELECT _id FROM {vendors}'), '_id');
        $rows = $this->db->rowsByIndex(
            sprintf(self::ALL_PENDING, '%s', Database::marks($vendors)),
            'sidecar_logs_wamid',
            $vendors
        );
        $changed = 0;
        foreach (array_chunk(array_column($rows, '_id'), self::MOST) as $ids) {
            $changed += $this->db->change(
                "UPDATE {logs} SET status = 'unknown', updated_at = ?, __data = JSON_MERGE_PATCH(__data, ?)"
                    . ' WHERE _id IN (' . Database::marks($ids) . ") AND status = 'pending' AND wamid IS NULL",
                [$now, Json::dump(['error' => self::error(self::MAYBE_SENT)]), ...$ids]
            );
        }

        return $changed;
    }

    /** @return array<string, ?string> as a failed status leaves it in the row */
    private static function error(string $message): array
    {
        return ['code' => null, 'title' => null, 'message' => $message, 'details' => null];
    }

    /** The sidecar does not take the message: it will not be sent. */
    public function fail(string $uid, string $reason, string $now): void
    {
        $error = self::error($reason);
        $this->db->change(
            "UPDATE {logs} SET status = 'failed', updated_at = ?, __data = JSON_MERGE_PATCH(__data, ?)"
                . " WHERE _uid = ? AND status = 'pending' AND wamid IS NULL",
            [$now, Json::dump(['error' => $error]), $uid]
        );
    }
}
