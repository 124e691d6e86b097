<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Effects;

use stdClass;
use WhatsappSidecar\Laravel\Engine\Answering;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Webhook\Envelope;

/**
 * The effects of an update, kept in `__data.sidecar.effects` of its message's log row: an update that
 * was applied before brings them again. Of a message that is to be sent only the id is kept, the rest
 * stands in its own row.
 */
final class KeptEffects
{
    private const OF_ROWS = "SELECT _uid, JSON_EXTRACT(__data, '$.sidecar') AS sidecar,"
        . " JSON_UNQUOTE(JSON_EXTRACT(__data, '$.message.type')) AS type"
        . ' FROM {logs} WHERE _uid IN (%s) FOR UPDATE';

    public function __construct(private Database $db, private PendingMessages $messages)
    {
    }

    /**
     * Return effects as they are kept.
     *
     * @param list<array<string, mixed>> $effects
     *
     * @return list<array<string, mixed>>
     */
    public static function kept(array $effects): array
    {
        return array_map(
            static fn (array $effect): array => $effect['kind'] === 'send_message'
                ? ['kind' => $effect['kind'], 'id' => $effect['id']]
                : $effect,
            $effects
        );
    }

    /**
     * Keep all effects of an update so far.
     *
     * @param list<array<string, mixed>> $effects
     *
     * @return bool whether the message's row is there
     */
    public function keep(Vendor $vendor, string $wamid, array $effects): bool
    {
        return $this->add($vendor, $wamid, ['effects' => self::kept($effects)]) > 0;
    }

    /** Keep why nobody answers a message: then it makes no other answer stale. */
    public function keepRefusal(Vendor $vendor, string $wamid, string $reason): void
    {
        $this->add($vendor, $wamid, ['unanswered' => $reason]);
    }

    /** @param array<string, mixed> $kept */
    private function add(Vendor $vendor, string $wamid, array $kept): int
    {
        return $this->db->change(
            "UPDATE {logs} SET __data = JSON_MERGE_PATCH(COALESCE(__data, '{}'), ?)"
                . ' WHERE vendors__id = ? AND ' . Wamid::SAME,
            [Json::dump(['sidecar' => $kept]), $vendor->id, ...Wamid::same($wamid)]
        );
    }

    /**
     * Return the effects that rows bring again: without messages of which it is known what became of
     * them. A question that is answered is not kept any more.
     *
     * @param array<string, ?string> $sidecars `__data.sidecar` of rows of the log
     *
     * @return array<string, list<array<string, mixed>|stdClass>> by the same keys
     */
    public function again(array $sidecars): array
    {
        $kept = $uids = [];
        foreach ($sidecars as $key => $sidecar) {
            $kept[$key] = Envelope::objects(Json::object($sidecar)->effects ?? null);
            foreach ($kept[$key] as $effect) {
                if ($effect->kind === 'send_message') {
                    $uids[] = $effect->id;
                }
            }
        }
        $pending = $this->messages->effects($uids);

        return array_map(static fn (array $effects): array => array_values(array_filter(array_map(
            static fn (stdClass $effect): ?stdClass => $effect->kind === 'send_message'
                ? $pending[$effect->id] ?? null
                : $effect,
            $effects
        ))), $kept);
    }

    /** @return list<stdClass> what the row of a message brings again */
    public function ofMessage(Vendor $vendor, string $wamid): array
    {
        return $this->again(['row' => $this->sidecar($vendor, $wamid, '')])['row'];
    }

    /**
     * Tell whether these are the effects that are kept with a message, whoever has stored it.
     *
     * @param list<array<string, mixed>> $effects
     */
    public function are(Vendor $vendor, string $wamid, array $effects): bool
    {
        $kept = Envelope::objects(Json::object($this->sidecar($vendor, $wamid, ' FOR UPDATE'))->effects ?? null);

        return array_column($kept, 'id') === array_column($effects, 'id');
    }

    /**
     * Tell the same of many messages, none of which stands for another.
     *
     * @param array<string, list<array<string, mixed>>> $effects by the `_uid` of the message's row
     */
    public function areAll(array $effects): bool
    {
        $rows = $this->db->rows(
            sprintf(self::OF_ROWS, Database::marks($effects)),
            array_map('strval', array_keys($effects))
        );
        foreach ($rows as $row) {
            $kept = array_column(Envelope::objects(Json::object($row->sidecar)->effects ?? null), 'id');
            if (Answering::isPlaceholder($row) || $kept !== array_column($effects[$row->_uid], 'id')) {
                return false;
            }
        }

        return count($rows) === count($effects);
    }

    private function sidecar(Vendor $vendor, string $wamid, string $lock): ?string
    {
        $row = $this->db->row(
            "SELECT JSON_EXTRACT(__data, '$.sidecar') AS sidecar FROM {logs}"
                . ' WHERE vendors__id = ? AND ' . Wamid::SAME . " ORDER BY _id LIMIT 1{$lock}",
            [$vendor->id, ...Wamid::same($wamid)]
        );

        return $row->sidecar ?? null;
    }
}
