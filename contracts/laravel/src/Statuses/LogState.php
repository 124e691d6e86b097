<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Statuses;

use stdClass;
use WhatsappSidecar\Laravel\Store\LogRow;
use WhatsappSidecar\Laravel\Store\QueueRow;
use WhatsappSidecar\Laravel\Store\Wamid;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Setting;
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

    /** When statuses were set, by their names, in unix seconds: what the row says, and what it does not. */
    private stdClass $knownTimes;

    /** @var array<string, int> */
    private array $newTimes = [];

    /** @param int|null $id null for a row that is still to be stored */
    private function __construct(public ?int $id, public ?string $status)
    {
        $this->knownTimes = new stdClass();
    }

    public static function ofRow(stdClass $row): self
    {
        $state = new self((int) $row->_id, $row->status);
        $state->campaignId = $row->campaigns__id === null ? null : (int) $row->campaigns__id;
        $state->contactId = $row->contacts__id === null ? null : (int) $row->contacts__id;
        $state->messagedAt = $row->messaged_at;
        $sidecar = Json::object($row->sidecar);
        $state->queueRowUid = Envelope::text($sidecar->queue_row_uid ?? null);
        $state->knownTimes = Json::section($sidecar, LogRow::STATUSES);
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
        $this->noteTimes($statuses);
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
        if (! $this->keepsTimes()) {
            $this->newTimes = [];
        }
        $this->changed = $this->changed || $this->newTimes !== [] || $before !== [$this->status, $this->messagedAt];

        return $error;
    }

    /** Tell whether the times are written: always with what is written anyway, and else if they are wanted. */
    private function keepsTimes(): bool
    {
        if ($this->id === null || $this->data !== [] || $this->errorChanged) {
            return true;
        }
        // Of one that is delivered alone messaged_at says it.
        $isSaid = $this->status === 'delivered' && array_keys($this->newTimes) === ['delivered'];

        return $this->newTimes !== [] && ! $isSaid
            && Setting::flag(config('whatsapp-sidecar.status_times'), 'WHATSAPP_SIDECAR_STATUS_TIMES');
    }

    /**
     * Note when statuses were set that the row does not say: to write the JSON is the dearest part of a status.
     *
     * @param list<stdClass> $statuses
     */
    private function noteTimes(array $statuses): void
    {
        $delivered = $this->status === 'delivered' ? Time::ms($this->messagedAt) : null;
        if ($delivered !== null && ! isset($this->knownTimes->delivered)) {
            $this->newTimes += ['delivered' => intdiv($delivered, 1000)];
        }
        foreach ($statuses as $status) {
            $ms = Time::metaMs($status->timestamp ?? null);
            if ($ms !== null && StatusRank::of($status->status) > 0 && ! isset($this->knownTimes->{$status->status})) {
                $this->newTimes += [$status->status => intdiv($ms, 1000)];
            }
        }
    }

    /** @return array<string, mixed> what a row that is still to be stored keeps in `__data.sidecar` */
    public function times(): array
    {
        return $this->newTimes === [] ? [] : [LogRow::STATUSES => $this->newTimes];
    }

    /** Return the merge patch of `__data`; null if nothing changes there. */
    public function patch(): ?string
    {
        $patch = $this->data + ($this->errorChanged ? ['error' => $this->error] : []);
        $patch += $this->newTimes === [] ? [] : ['sidecar' => $this->times()];

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
