<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Store\Columns;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/**
 * Edits and revokes: they change the row of the message that they name, and have none of their own.
 *
 * `__data.sidecar.corrections` of that row lists them, with the text that each has replaced. So one that
 * comes again changes nothing, an older edit does not undo a newer one, and what was revoked stays so.
 */
final class Corrections
{
    private const NAMED = "SELECT _id, message, JSON_EXTRACT(__data, '$.sidecar') AS sidecar FROM {logs}"
        . ' WHERE vendors__id = ? AND ' . Wamid::SAME . ' ORDER BY _id LIMIT 1 FOR UPDATE';

    /** What may be edited and have no text: its caption was taken away. */
    private const CAPTIONED = ['image', 'video', 'document'];

    public function __construct(private Database $db, private Clock $clock)
    {
    }

    /** Apply one, within the transaction that is open. */
    public function apply(Vendor $vendor, Update $update): Outcome
    {
        $item = $update->part->item;
        $correction = Json::section($item, $item->type);
        $named = Envelope::id($correction->original_message_id ?? null);
        $row = $named === null ? null : $this->db->row(self::NAMED, [$vendor->id, ...Wamid::same($named)]);
        if ($row === null) {
            return Outcome::ignored('message_unknown');
        }
        $message = Json::section($correction, 'message');
        $text = $item->type === 'edit' ? MessageText::of($message) : null;
        $mayBeEmpty = $item->type === 'revoke' || in_array($message->type ?? null, self::CAPTIONED, true);
        if ($text === null && ! $mayBeEmpty) {
            return Outcome::ignored('edit_without_text');
        }
        $sidecar = Json::object($row->sidecar);
        $known = Envelope::objects($sidecar->corrections ?? null);
        if (! in_array($update->part->wamid(), array_column($known, 'id'), true)) {
            $at = Answering::sentMs($item, $update->receivedAt ?? $this->clock->nowMs());
            $entry = ['id' => $update->part->wamid(), 'type' => $item->type, 'at' => $at];
            $entry += $item->type === 'edit' ? ['message' => Json::shallow($message)] : [];
            $this->change($row, $sidecar, $known, $entry, $text);
        }

        return Outcome::done();
    }

    /**
     * @param stdClass $sidecar the row's `__data.sidecar`
     * @param list<stdClass> $known corrections that it has had
     * @param array<string, mixed> $entry what is kept of this one
     */
    private function change(stdClass $row, stdClass $sidecar, array $known, array $entry, ?string $text): void
    {
        $name = $entry['type'] === 'edit' ? 'edited_at' : 'revoked_at';
        $isOver = isset($sidecar->revoked_at) || ($name === 'edited_at' && $entry['at'] < ($sidecar->edited_at ?? 0));
        $patch = [];
        if (! $isOver) {
            $patch[$name] = $entry['at'];
            $entry['replaced'] = $row->message;
        }
        $patch['corrections'] = [...$known, $entry];
        $this->db->change(
            'UPDATE {logs} SET updated_at = ?, message = ?,'
                . " __data = JSON_MERGE_PATCH(COALESCE(__data, '{}'), ?) WHERE _id = ?",
            [
                Time::text($this->clock->nowMs()),
                $isOver ? $row->message : Columns::fit('logs', 'message', $text),
                Json::dump(['sidecar' => $patch]),
                $row->_id,
            ]
        );
    }
}
