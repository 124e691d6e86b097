<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use stdClass;
use WhatsappSidecar\Laravel\Engine\Answering;
use WhatsappSidecar\Laravel\Support\Json;

/** One update as the sidecar hands it over, or as it was split out of a raw webhook. */
final class Update
{
    /** @var list<stdClass> status objects that were coalesced into this one */
    public array $lowerStatuses = [];

    /** Unix ms; null for a raw webhook, whose own time counts. */
    public ?int $receivedAt = null;

    public int $attempt = 1;

    /** The sidecar's; null in a raw webhook. */
    public ?string $id = null;

    /**
     * @var list<array{bot_uid: string, trigger_type: string, trigger: ?string}>|null those that match;
     *     null if they are matched here
     */
    public ?array $bots = null;

    /** What has to stay in order among the updates of one request. */
    public ?string $order = null;

    /** `_uid` of a row that stands for this message, which Meta could not show at first. */
    public ?string $placeholder = null;

    /** @param stdClass $payload a complete webhook envelope that holds nothing but this update */
    public function __construct(public string $vendorUid, public Part $part, public stdClass $payload)
    {
    }

    /** Tell whether it came in a raw webhook, whose answer has no place for effects. */
    public function isRaw(): bool
    {
        return $this->id === null;
    }

    /** Return what the update is known by, however often it comes. */
    public function name(): string
    {
        $wamid = $this->part->wamid();

        return $wamid === null ? "update:{$this->id}" : match ($this->part->kind) {
            'message' => $this->nameOfMessage($wamid),
            'echo' => "echo:{$wamid}",
            'status' => $this->nameOfStatus($wamid),
            // What has no id of its own is told again if Meta sends it again.
            default => "update:{$this->id}",
        };
    }

    /** What Meta could not show yet may come once more, with its content. */
    private function nameOfMessage(string $wamid): string
    {
        $item = $this->part->item;

        return Answering::isPlaceholder($item) ? "{$wamid}:{$item->type}" : $wamid;
    }

    private function nameOfStatus(string $wamid): string
    {
        $item = $this->part->item;
        $whose = [];
        foreach (Contacts::NAMES['status'] as $member) {
            $whose[$member] = $item->{$member} ?? null;
        }

        return implode(':', [
            $wamid,
            Json::dump($item->status ?? null),
            Json::dump($item->timestamp ?? null),
            Json::dump((object) array_filter($whose, 'is_scalar')),
        ]);
    }

    /** Return the payload's JSON. */
    public function body(): string
    {
        return Json::dump($this->payload);
    }

    /**
     * Return the statuses in their order, the coalesced ones first; those without a name are left out.
     *
     * @return list<stdClass>
     */
    public function statuses(): array
    {
        $isNamed = static fn (stdClass $status): bool => Envelope::text($status->status ?? null) !== null;
        $lower = $this->lowerStatuses === [] ? [] : array_values(array_filter($this->lowerStatuses, $isNamed));

        return $isNamed($this->part->item) ? [...$lower, $this->part->item] : $lower;
    }
}
