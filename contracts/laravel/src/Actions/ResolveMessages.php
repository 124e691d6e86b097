<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Queue;
use WhatsappSidecar\Laravel\Store\QueueRow;
use WhatsappSidecar\Laravel\Store\QueueStatus;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Time;

/** Sends rows of unknown outcome again, or gives them up, as a person decided. */
final class ResolveMessages
{
    private const FIELDS = ['row_uids', 'action', 'reason'];

    private const MAX_ROWS = 1000;

    private const GIVEN_UP = 'What became of the message was never known, and a person has given it up';

    public function __construct(private Database $db, private Queue $queue, private Clock $clock)
    {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, self::FIELDS);
        $uids = array_values(array_unique($input->texts('row_uids', self::MAX_ROWS, 1)));
        $resend = $input->oneOf('action', ['resend', 'give_up']) === 'resend';
        $reason = $input->optionalText('reason');
        if (mb_strlen((string) $reason) > 500) {
            throw Refused::invalid('reason: must have at most 500 characters');
        }

        return $this->db->transaction(function () use ($uids, $resend, $reason): array {
            $rows = $this->queue->lock($uids);
            $unknown = array_filter($rows, static fn (QueueRow $row): bool => $row->status === QueueStatus::UNKNOWN);
            $ids = array_column($unknown, 'id');
            $now = Time::text($this->clock->nowMs());
            if ($resend) {
                $this->queue->resend($ids, $now);
            } else {
                $message = self::GIVEN_UP . ($reason === null || $reason === '' ? '.' : ": {$reason}");
                $this->queue->end($ids, QueueStatus::ERROR, 'unknown_given_up_error', $message, $now);
            }

            return ['results' => array_map(static fn (string $uid): array => self::result($uid, $rows), $uids)];
        });
    }

    /**
     * @param array<string, QueueRow> $rows as they were found
     *
     * @return array<string, ?string>
     */
    private static function result(string $uid, array $rows): array
    {
        $row = $rows[$uid] ?? null;
        if ($row !== null && $row->status === QueueStatus::UNKNOWN) {
            return ['id' => $uid, 'result' => 'done', 'reason' => null];
        }

        return [
            'id' => $uid,
            'result' => 'ignored',
            'reason' => $row === null ? 'row_unknown' : 'row_not_in_unknown',
        ];
    }
}
