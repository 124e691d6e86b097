<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use stdClass;
use WhatsappSidecar\Laravel\Answers\Questions;
use WhatsappSidecar\Laravel\Effects\PendingMessages;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Webhook\Envelope;

/** Lists effects that were asked for and of which it is not known what became. */
final class ListPendingEffects
{
    private const FIELDS = ['kind', 'older_than_s', 'newer_than_s', 'limit', 'after'];

    private const MAX_ROWS = 1000;

    private const INDEX = 'sidecar_logs_campaign';

    /** Among so many of the newest rows they are looked for without the index. */
    private const NEWEST = 10_000;

    /** The index tells these apart from all others, in the order of `_id`. */
    private const MESSAGES = 'SELECT logs._id, logs._uid, logs.vendors__id, logs.created_at, logs.wamid,'
        . " JSON_EXTRACT(logs.__data, '$.effect') AS effect FROM {logs} AS logs %s"
        . " WHERE logs.campaigns__id IS NULL AND logs.is_incoming_message = 0 AND logs.status = 'pending'"
        . ' AND logs._id > ? ORDER BY logs._id LIMIT ?';

    private const LAST = 'SELECT MAX(_id) AS last FROM {logs}';

    /** A page of the log itself, whatever its rows are: so many are read, and no more. */
    private const LOG = 'SELECT logs._id, logs._uid, logs.vendors__id, logs.created_at,'
        . " IF(logs.is_incoming_message = 1, JSON_EXTRACT(logs.__data, '$.sidecar'), NULL) AS sidecar"
        . ' FROM {logs} AS logs WHERE logs._id < ? ORDER BY logs._id DESC LIMIT ?';

    public function __construct(
        private Database $db,
        private Vendors $vendors,
        private Questions $questions,
        private Clock $clock
    ) {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, self::FIELDS);
        $isQuestion = $input->oneOf('kind', ['send_message', 'ai_reply']) === 'ai_reply';
        $nowMs = $this->clock->nowMs();
        $before = $nowMs - self::ms($input->integer('older_than_s', 0, PHP_INT_MAX, 60), $nowMs);
        $since = $nowMs - self::ms($input->integer('newer_than_s', 0, PHP_INT_MAX, 600), $nowMs);
        $limit = $input->integer('limit', 1, self::MAX_ROWS, self::MAX_ROWS);
        $after = self::place($input->optionalText('after'));
        $rows = $isQuestion ? $this->log($after, $limit) : $this->pending($after, $limit);
        $last = count($rows) < $limit ? null : end($rows);
        if ($isQuestion && $last !== null && Time::ms($last->created_at) < $since) {
            $last = null;
        }

        return [
            'now' => $nowMs,
            'results' => $this->byVendor(
                $isQuestion ? $this->open($rows, $since, $nowMs) : self::messages($rows, $before)
            ),
            'next' => $last === null ? null : (string) $last->_id,
        ];
    }

    private static function ms(int $seconds, int $nowMs): int
    {
        return min($seconds, intdiv($nowMs, 1000)) * 1000;
    }

    /** Return the `_id` of the row that a page ended with. */
    private static function place(?string $after): ?int
    {
        if ($after !== null && ! preg_match('/\A\d{1,18}\z/', $after)) {
            throw Refused::invalid('after: must be next of the page before');
        }

        return $after === null ? null : (int) $after;
    }

    /** @return list<stdClass> */
    private function pending(?int $after, int $limit): array
    {
        $rows = $this->db->rowsIfIndexed(self::MESSAGES, self::INDEX, [$after ?? 0, $limit]);
        if ($rows !== null) {
            return $rows;
        }
        $newest = (int) $this->db->row(self::LAST)->last - self::NEWEST;

        return $this->db->rows(sprintf(self::MESSAGES, 'FORCE INDEX (PRIMARY)'), [max($after ?? 0, $newest), $limit]);
    }

    /** @return list<stdClass> */
    private function log(?int $after, int $limit): array
    {
        return $this->db->rows(self::LOG, [$after ?? PHP_INT_MAX, $limit]);
    }

    /**
     * @param list<stdClass> $rows
     *
     * @return array<int, list<stdClass>> by the vendors' `_id`
     */
    private static function messages(array $rows, int $before): array
    {
        $found = [];
        foreach ($rows as $row) {
            $effect = PendingMessages::again($row);
            // The application may have rows of its own that are pending.
            if ($row->wamid === null && ($effect->id ?? null) === $row->_uid && $effect->asked_at <= $before) {
                $found[(int) $row->vendors__id][] = $effect;
            }
        }

        return $found;
    }

    /**
     * @param list<stdClass> $rows
     *
     * @return array<int, list<stdClass>> by the vendors' `_id`
     */
    private function open(array $rows, int $since, int $nowMs): array
    {
        $asked = [];
        foreach ($rows as $row) {
            $sidecar = Json::object($row->sidecar);
            foreach (isset($sidecar->answer) ? [] : Envelope::objects($sidecar->effects ?? null) as $effect) {
                $isOpen = ($effect->expires_at ?? PHP_INT_MAX) > $nowMs && Time::ms($row->created_at) >= $since;
                if (($effect->kind ?? null) === 'ai_reply' && $isOpen) {
                    $asked[$row->_uid] = $effect;
                }
            }
        }
        $found = [];
        $uids = array_map('strval', array_keys($asked));
        $questions = array_column($uids === [] ? [] : $this->questions->rows($uids), null, '_uid');
        foreach ($asked as $uid => $effect) {
            $question = $questions[$uid] ?? null;
            if ($question !== null && Questions::lateness($question, $nowMs) === null) {
                $found[(int) $question->vendors__id][] = $effect;
            }
        }

        return $found;
    }

    /**
     * @param array<int, list<stdClass>> $effects by the vendors' `_id`
     *
     * @return list<array<string, mixed>>
     */
    private function byVendor(array $effects): array
    {
        $results = [];
        foreach ($effects === [] ? [] : $this->vendors->loadByIds(array_keys($effects)) as $vendor) {
            $results[] = ['vendor_uid' => $vendor->uid, 'effects' => $effects[$vendor->id]];
        }

        return $results;
    }
}
