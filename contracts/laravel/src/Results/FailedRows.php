<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Results;

use stdClass;
use WhatsappSidecar\Laravel\Store\OptOuts;
use WhatsappSidecar\Laravel\Store\Queue;
use WhatsappSidecar\Laravel\Store\QueueRow;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Number;

/** Failed rows of a campaign: which may be tried again, and why not the others. */
final class FailedRows
{
    private const GIVEN_UP = 'unknown_given_up_error';

    private const MAX_MESSAGE = 500;

    /** @var list<int> `_id` of rows that may be tried again */
    public array $retriable = [];

    /** @var array<string, array<string, mixed>> by reason and error */
    private array $groups = [];

    /**
     * @param list<stdClass> $rows their `_id`, `updated_at`, `retries` and `__data`
     * @param list<string>|null $codes the errors that are asked for; null: all but those of contacts
     */
    public function __construct(array $rows, private ?array $codes, private string $now)
    {
        foreach ($rows as $row) {
            $data = Json::object($row->__data);
            $response = Json::section($data, 'process_response');
            $error = self::text($response->error_status ?? null);
            if ($codes !== null && ! in_array($error, $codes, true)) {
                continue;
            }
            $reason = $this->whyNot($row, Json::section($data, 'sidecar'), $error);
            if ($reason === null) {
                $this->retriable[] = (int) $row->_id;
            }
            $this->count($reason, $error, self::text($response->error_message ?? null));
        }
    }

    /** @return array<string, mixed> the contract's RetryMessagesAnswer, without `next` */
    public function answer(): array
    {
        $rows = $left = [];
        foreach ($this->groups as $group) {
            if ($group['reason'] === null) {
                unset($group['reason']);
                $rows[] = $group;
            } else {
                $left[] = $group;
            }
        }

        return ['retried' => count($this->retriable), 'rows' => $rows, 'left' => $left];
    }

    private function whyNot(stdClass $row, stdClass $sidecar, ?string $error): ?string
    {
        if ($error === self::GIVEN_UP) {
            return 'given_up';
        }
        if (! self::certainlyNotSent($row, $sidecar)) {
            return 'maybe_sent';
        }
        if (Queue::hasExpired($row, $this->now)) {
            return 'expired';
        }

        return $this->codes === null && isset(OptOuts::MESSAGES[$error ?? '']) ? 'contact' : null;
    }

    /** A row that somebody else has had (a cron, say), since it failed or before, may have been sent by that. */
    private static function certainlyNotSent(stdClass $row, stdClass $sidecar): bool
    {
        $results = $sidecar->{QueueRow::RESULTS} ?? null;
        foreach (is_array($results) ? $results : [] as $result) {
            if (is_string($result) && str_starts_with($result, 'unknown:')) {
                return false;
            }
        }
        $notSentAt = $sidecar->{QueueRow::NOT_SENT} ?? null;

        return $notSentAt !== null
            && $notSentAt === $row->updated_at
            && (int) $row->retries === QueueRow::ownRetries($sidecar)
            && ! isset($sidecar->{QueueRow::MAYBE_SENT});
    }

    private function count(?string $reason, ?string $error, ?string $message): void
    {
        $key = "{$reason} {$error}";
        $this->groups[$key] ??= [
            'reason' => $reason,
            'error_status' => $error,
            'message' => $message === null ? null : mb_substr($message, 0, self::MAX_MESSAGE),
            'count' => 0,
        ];
        $this->groups[$key]['count']++;
    }

    /** The application's own code may have written the error as a number. */
    public static function text(mixed $value): ?string
    {
        return is_string($value) || is_int($value) || $value instanceof Number ? (string) $value : null;
    }
}
