<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Support\Json;

/** A campaign as it stood when the call began. Its state and fence are in `__data.sidecar`. */
final class Campaign
{
    public const STATES = ['running', 'paused', 'cancelled'];

    private stdClass $sidecar;

    private function __construct(
        public int $id,
        public int $vendorId,
        public string $uid,
        public ?string $templateName,
        public ?string $templateLanguage,
        ?string $data
    ) {
        $this->sidecar = Json::section(Json::object($data), 'sidecar');
    }

    /** @param stdClass $row of the table, with these columns */
    public static function ofRow(stdClass $row): self
    {
        return new self(
            (int) $row->_id,
            (int) $row->vendors__id,
            $row->_uid,
            $row->template_name,
            $row->template_language,
            $row->__data
        );
    }

    /** Return the state; a campaign without one runs. */
    public static function stateOf(stdClass $sidecar): string
    {
        $state = $sidecar->state ?? null;

        return in_array($state, self::STATES, true) ? $state : 'running';
    }

    public static function reasonOf(stdClass $sidecar): ?string
    {
        return is_string($sidecar->reason ?? null) ? $sidecar->reason : null;
    }

    public function fence(): int
    {
        return is_int($this->sidecar->fence ?? null) ? $this->sidecar->fence : 0;
    }

    /** Refuse the call if the campaign is paused or cancelled. */
    public function checkRunning(): void
    {
        $state = self::stateOf($this->sidecar);
        if ($state !== 'running') {
            throw $this->stopped($state);
        }
    }

    public function checkNotCancelled(): void
    {
        if (self::stateOf($this->sidecar) === 'cancelled') {
            throw $this->stopped('cancelled');
        }
    }

    /** Refuse the call if the state may not become another: only a restart ends a cancellation. */
    public function checkChange(string $state, bool $restart): void
    {
        if ($state !== 'cancelled' && ! ($state === 'running' && $restart)) {
            $this->checkNotCancelled();
        }
    }

    private function stopped(string $state): Refused
    {
        $reason = self::reasonOf($this->sidecar);

        return Refused::conflict(
            "campaign_{$state}",
            "campaign '{$this->uid}' is {$state}" . ($reason === null ? '' : ": {$reason}")
        );
    }

    /** Refuse the call if a higher fence has been seen. */
    public function checkFence(int $fence): void
    {
        if ($fence < $this->fence()) {
            throw Refused::conflict(
                'fence_stale',
                "campaign '{$this->uid}' is owned under fence {$this->fence()}, not {$fence}"
            );
        }
    }
}
