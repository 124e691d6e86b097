<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Media;

use stdClass;
use WhatsappSidecar\Laravel\Effects\Effects;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Json;

/** Media of messages: asks the sidecar to fetch it, and tells what became of it. */
final class Media
{
    private const KEPT = "SELECT JSON_EXTRACT(__data, '$.media') AS media FROM {logs} WHERE ";

    public function __construct(private Database $db, private Folder $folder, private Effects $effects)
    {
    }

    /**
     * Return what is known of media; null if nothing is. While its message is handled, the sidecar is
     * asked to fetch it, if it was not before.
     *
     * @param string $id the media's id while its message is handled, or the `_uid` of the message's row
     *
     * @return array<string, mixed>|null state (requested, stored, failed; off where no folder is
     *     configured), path (below the folder), file (with the folder), id, mime_type, bytes, sha256, reason
     */
    public function find(string $id): ?array
    {
        $update = $this->effects->currentUpdate();
        $vendor = $this->effects->current();
        $media = $update === null ? null : MessageMedia::of($update->part->item);
        if ($media === null || $vendor === null || $media->id !== $id) {
            return $this->known($this->row('_uid = ?', [$id]));
        }
        $wamid = (string) $update->part->wholeWamid();
        $row = $this->row('vendors__id = ? AND ' . Wamid::SAME, [$vendor->id, ...Wamid::same($wamid)]);
        $known = $this->known($row);
        if ($known === null || $known['state'] === 'requested') {
            $known = $this->known((object) $media->kept());
            if ($this->folder->isOn()) {
                $this->effects->fetchMedia($vendor->uid, $wamid, $media->facts());
            } else {
                $known['state'] = 'off';
            }
        }

        return $known;
    }

    /** @param list<mixed> $bindings */
    private function row(string $condition, array $bindings): ?stdClass
    {
        $row = $this->db->row(self::KEPT . $condition, $bindings);
        $media = Json::object($row->media ?? null);

        return isset($media->state) ? $media : null;
    }

    /** @return array<string, mixed>|null */
    private function known(?stdClass $media): ?array
    {
        if ($media === null) {
            return null;
        }
        $found = (array) $media + array_fill_keys(['id', 'path', 'mime_type', 'bytes', 'sha256', 'reason'], null);

        return $found + ['file' => $this->folder->file($found['path'])];
    }
}
