<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use stdClass;
use WhatsappSidecar\Laravel\Effects\PendingMessages;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;

/**
 * Keeps how far the sidecar's Redis has come, the highest that it is told. It stands in vendor_settings, with
 * the first vendor: there is no place for what belongs to none.
 *
 * Nothing is locked, for claims read the first vendor's row: the statement that writes compares.
 */
final class KeepEpoch
{
    private const FIELDS = ['epoch', 'at', 'settle_pending'];

    private const NAME = 'sidecar_epoch';

    private const KEPT = 'SELECT vendors._id AS vendor_id, vendors._uid AS vendor_uid, settings._id,'
        . ' settings.value FROM {vendors} AS vendors LEFT JOIN {vendor_settings} AS settings'
        . ' ON settings.vendors__id = vendors._id AND settings.name = ? ORDER BY vendors._id LIMIT 1';

    private const RAISE = 'UPDATE {vendor_settings} SET value = ?, updated_at = ? WHERE _id = ?'
        . " AND COALESCE(CASE WHEN JSON_VALID(value) THEN CAST(JSON_UNQUOTE(JSON_EXTRACT(value, '$.epoch'))"
        . ' AS UNSIGNED) END, 0) < CAST(? AS UNSIGNED)';

    public function __construct(private Database $db, private PendingMessages $messages, private Clock $clock)
    {
    }

    /**
     * Keep what a claim or results carry in their query.
     *
     * @param array<mixed> $query
     */
    public function carried(array $query): void
    {
        if (array_key_exists('epoch', $query)) {
            $now = Time::text($this->clock->nowMs());
            $this->keep(self::number($query, 'epoch'), self::number($query, 'at'), $now);
        }
    }

    /** @param array<mixed> $query */
    private static function number(array $query, string $name): int
    {
        $bounds = ['options' => ['min_range' => 0, 'max_range' => 2 ** 53]];
        $number = filter_var($query[$name] ?? null, FILTER_VALIDATE_INT, $bounds);

        return $number !== false ? $number : throw Refused::invalid("{$name}: must be an integer of the query");
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, self::FIELDS);
        $epoch = $input->integer('epoch', 0, 2 ** 53);
        $at = $input->integer('at', 0, 2 ** 53);
        $settlePending = $input->flag('settle_pending');
        $now = Time::text($this->clock->nowMs());

        return $this->keep($epoch, $at, $now) + [
            'made_unknown' => $settlePending ? $this->messages->settleAll($now) : 0,
        ];
    }

    /** @return array{epoch: int, at: ?int} the highest */
    private function keep(int $epoch, int $at, string $now): array
    {
        $row = $this->db->row(self::KEPT, [self::NAME]);
        $kept = self::kept($row);
        if ($row === null || $epoch <= $kept['epoch']) {
            return $kept;
        }
        $new = ['epoch' => $epoch, 'at' => $at];
        $raised = $row->_id === null
            ? $this->db->insertMissing('vendor_settings', [[
                '_uid' => Uuid::of(Uuid::SETTINGS, "{$row->vendor_uid}:" . self::NAME),
                'created_at' => $now,
                'vendors__id' => (int) $row->vendor_id,
                'name' => self::NAME,
                'value' => Json::dump($new),
                'data_type' => 1,
            ]])
            : $this->db->change(self::RAISE, [Json::dump($new), $now, (int) $row->_id, $epoch]) > 0;

        // If not, a call that ran beside this one has told of a higher one.
        return $raised ? $new : self::kept($this->db->row(self::KEPT, [self::NAME]));
    }

    /** @return array{epoch: int, at: ?int} */
    private static function kept(?stdClass $row): array
    {
        $kept = Json::object($row->value ?? null);

        return ['epoch' => (int) ($kept->epoch ?? 0), 'at' => $kept->at ?? null];
    }
}
