<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Statuses;

use stdClass;
use WhatsappSidecar\Laravel\Store\QueueRow;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\StatusRank;

/** A row of the log as the batch found it or makes it, and what statuses make of it. */
final class LogState
{
    public bool $changed = false;

    /** Whether `__data.error` has to be written: null takes it away. */
    public bool $errorChanged = false;

    /** @var array<string, mixed>|null */
    public ?array $error = null;

    public ?int $campaignId = null;

    public ?int $contactId = null;

    public ?string $messagedAt = null;

    public ?string $queueRowUid = null;

    public ?string $wamid = null;

    /** @var array<string, string> what goes into `__data` beside the wamid */
    private array $data = [];

    private bool $hasError = false;

    /** @param int|null $id null for a row that is still to be stored */
    private function __construct(public ?int $id, public ?string $status)
    {
    }

    public static function ofRow(stdClass $row): self
    {
        $state = new self((int) $row->_id, $row->status);
        $state->campaignId = $row->campaigns__id === null ? null : (int) $row->campaigns__id;
        $state->contactId = $row->contacts__id === null ? null : (int) $row->contacts__id;
        $state->messagedAt = $row->messaged_at;
        $state->queueRowUid = in_array($row->queue_row_uid, [null, 'null', ''], true) ? null : $row->queue_row_uid;
        $state->hasError = (bool) $row->has_error;

        return $state;
    }

    /** Return the state of a message's row that a status gives its whole wamid: it was sent, as it says. */
    public static function ofMessage(stdClass $row, string $wamid): self
    {
        $state = new self((int) $row->_id, 'accepted');
        $state->messagedAt = $row->messaged_at;
        $state->wamid = Wamid::stored($wamid);
        $state->data = Wamid::data($wamid);
        $state->hasError = (bool) $row->has_error;
        $state->changed = true;

        return $state;
    }

    /** Return the state of a row that is still to be stored. */
    public static function early(QueueRow $row): self
    {
        $state = new self(null, 'accepted');
        $state->campaignId = $row->campaignId;
        $state->contactId = $row->contactId;
        $state->queueRowUid = $row->uid;

        return $state;
    }

    /**
     * Take statuses over, oldest first.
     *
     * @param list<stdClass> $statuses
     *
     * @return array<string, mixed>|null the error, if they end in a failure that counts
     */
    public function take(array $statuses, string $now): ?array
    {
        $before = [$this->status, $this->messagedAt];
        $error = null;
        foreach ($statuses as $status) {
            $name = $status->status;
            if ($name === 'delivered') {
                $this->messagedAt = self::timeOf($status, $now);
            }
            if (StatusRank::isHigher($this->status, $name)) {
                $this->status = StatusRank::stored($name);
                $error = $name === 'failed' ? self::errorOf($status) : null;
                if (StatusRank::of($name) > StatusRank::DELIVERED && $this->messagedAt === null) {
                    $this->messagedAt = self::timeOf($status, $now);
                }
            }
        }
        if ($this->status !== $before[0] && ($error !== null || $this->hasError)) {
            $this->error = $error;
            $this->errorChanged = true;
            $this->hasError = $error !== null;
        }
        $this->changed = $this->changed || $before !== [$this->status, $this->messagedAt];

        return $error;
    }

    /** Return the merge patch of `__data`; null if nothing changes there. */
    public function patch(): ?string
    {
        $patch = $this->data + ($this->errorChanged ? ['error' => $this->error] : []);

        return $patch === [] ? null : Json::dump($patch);
    }

    private static function timeOf(stdClass $status, string $now): string
    {
        $ms = Time::metaMs($status->timestamp ?? null);

        return $ms === null ? $now : Time::text($ms);
    }

    /**
     * Return the first error of a failed status, as it is kept in the log row.
     *
     * @return array<string, mixed>
     */
    private static function errorOf(stdClass $status): array
    {
        $error = Envelope::objects($status->errors ?? null)[0] ?? new stdClass();
        $code = $error->code ?? null;
        $details = $error->error_data ?? null;

        return [
            'code' => is_string($code) && preg_match('/^[0-9]{1,9}$/D', $code) ? (int) $code : Json::shallow($code),
            'title' => Json::shallow($error->title ?? null),
            'message' => Json::shallow($error->message ?? null),
            'details' => Json::shallow($details instanceof stdClass ? $details->details ?? null : null),
        ];
    }
}
