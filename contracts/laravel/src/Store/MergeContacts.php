<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use WhatsappSidecar\Laravel\Support\Json;

/**
 * Makes one of two contacts that are one person.
 *
 * The one that remains gets what is known of the other: that it has opted out, that it wants no bots or
 * no AI, its name, its messages, its queued rows; but of a campaign that has both, the person gets one
 * message. The other's row stays, for other tables may name it, but with no id by which it would be found;
 * it says whom it was merged into, and is opted out, so that no campaign reaches the person twice.
 */
final class MergeContacts
{
    private const SWITCHES = ['whatsapp_opt_out', 'disable_ai_bot', 'disable_reply_bot'];

    private const OBJECT = "IF(JSON_TYPE(%1\$s.__data) = 'OBJECT', %1\$s.__data, '{}')";

    private const LOCK = "SELECT _id, JSON_EXTRACT(__data, '$.sidecar.merged_into') AS merged_into"
        . ' FROM {contacts} WHERE _id IN (?, ?) ORDER BY _id FOR UPDATE';

    private const QUEUED = 'SELECT _id, contacts__id, campaigns__id, status FROM {queue}'
        . ' WHERE contacts__id IN (?, ?) AND campaigns__id IS NOT NULL AND status IN (1, 3, 4, 6) FOR UPDATE';

    private const SENT = 'SELECT DISTINCT contacts__id, campaigns__id FROM {logs} WHERE contacts__id IN (?, ?)'
        . " AND campaigns__id IN (%s) AND is_incoming_message = 0 AND COALESCE(status, '') <> 'failed' FOR UPDATE";

    private const TWICE = 'The campaign has this person twice, by two contacts that are one.';

    public function __construct(private Database $db, private Queue $queue)
    {
    }

    /**
     * To be called in a transaction. Another call may have merged either of them since they were read: the
     * other is not merged twice, for it is opted out by now, and nothing is merged into one that is gone.
     */
    public function into(int $keptId, string $keptUid, int $otherId, string $now): void
    {
        $gone = array_column($this->db->rows(self::LOCK, [$keptId, $otherId]), 'merged_into', '_id');
        if (isset($gone[$otherId])) {
            return;
        }
        if (isset($gone[$keptId])) {
            throw new ChangedMeanwhile();
        }
        $switches = array_map(
            static fn (string $name): string
                => "kept.{$name} = GREATEST(COALESCE(kept.{$name}, 0), COALESCE(other.{$name}, 0))",
            self::SWITCHES
        );
        $this->db->change(
            'UPDATE {contacts} AS kept JOIN {contacts} AS other ON other._id = ? SET kept.updated_at = ?, '
                . implode(', ', $switches)
                . ", kept.last_name = IF(COALESCE(kept.first_name, '') = '', other.last_name, kept.last_name)"
                . ", kept.first_name = IF(COALESCE(kept.first_name, '') = '', other.first_name, kept.first_name)"
                . ', kept.__data = JSON_MERGE_PATCH(' . sprintf(self::OBJECT, 'other') . ', '
                . sprintf(self::OBJECT, 'kept') . ') WHERE kept._id = ?',
            [$otherId, $now, $keptId]
        );
        $this->db->change(
            'UPDATE {contacts} SET updated_at = ?, wa_id = NULL, whatsapp_opt_out = 1,'
                . " __data = JSON_MERGE_PATCH(COALESCE(__data, '{}'), ?) WHERE _id = ?",
            [$now, Json::dump(['user_id' => null, 'sidecar' => ['merged_into' => $keptUid]]), $otherId]
        );
        $twice = $this->twice($keptId, $otherId);
        $this->queue->end($twice, QueueStatus::ERROR, 'campaign_data_invalid_error', self::TWICE, $now);
        // The person may have got the campaign by the other contact: what failed is not tried again.
        $this->db->change(
            "UPDATE {queue} SET __data = JSON_REMOVE(__data, '$.sidecar." . QueueRow::NOT_SENT . "')"
                . ' WHERE contacts__id IN (?, ?) AND status = 2',
            [$keptId, $otherId]
        );
        foreach (['queue', 'logs'] as $table) {
            $this->db->change("UPDATE {{$table}} SET contacts__id = ? WHERE contacts__id = ?", [$keptId, $otherId]);
        }
    }

    /** @return list<int> queued rows of campaigns that the person gets, or has got, by the other contact */
    private function twice(int $keptId, int $otherId): array
    {
        $queued = $sent = [];
        foreach ($this->db->rows(self::QUEUED, [$keptId, $otherId]) as $row) {
            if ((int) $row->status === QueueStatus::QUEUED) {
                $queued[$row->campaigns__id][$row->contacts__id][] = (int) $row->_id;
            } else {
                $sent[$row->campaigns__id][$row->contacts__id] = true;
            }
        }
        if ($queued === []) {
            return [];
        }
        $sql = sprintf(self::SENT, Database::marks($queued));
        foreach ($this->db->rows($sql, [$keptId, $otherId, ...array_keys($queued)]) as $row) {
            $sent[$row->campaigns__id][$row->contacts__id] = true;
        }
        $twice = [];
        foreach ($queued as $campaign => $of) {
            $ofKept = isset($sent[$campaign][$otherId]) ? $of[$keptId] ?? [] : [];
            $isKepts = isset($sent[$campaign][$keptId]) || isset($of[$keptId]);
            array_push($twice, ...$ofKept, ...($isKepts ? $of[$otherId] ?? [] : []));
        }

        return $twice;
    }
}
