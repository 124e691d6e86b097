<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Media;

use stdClass;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Uuid;
use WhatsappSidecar\Laravel\Webhook\Envelope;

/** The media of one message, as its webhook names it. */
final class MessageMedia
{
    private const TYPES = ['image', 'video', 'document', 'audio', 'sticker'];

    private function __construct(
        public string $type,
        public string $id,
        public ?string $mimeType,
        public ?string $sha256,
        public ?string $filename
    ) {
    }

    /** @param stdClass $item an element of value.messages or value.message_echoes */
    public static function of(stdClass $item): ?self
    {
        foreach (self::TYPES as $type) {
            $media = Json::section($item, $type);
            $id = Envelope::id($media->id ?? null);
            if ($id !== null) {
                return self::named($type, $id, (array) $media);
            }
        }

        return null;
    }

    /** @param array<string, mixed> $facts mime_type, sha256 and filename, as the webhook has them */
    public static function named(string $type, string $id, array $facts): self
    {
        $text = static fn (string $name): ?string => Envelope::text($facts[$name] ?? null);

        return new self($type, $id, $text('mime_type'), $text('sha256'), $text('filename'));
    }

    /** @return array<string, ?string> as named() takes it */
    public function facts(): array
    {
        return [
            'type' => $this->type,
            'id' => $this->id,
            'mime_type' => $this->mimeType,
            'sha256' => $this->sha256,
            'filename' => $this->filename,
        ];
    }

    /** @return array<string, mixed> the contract's FetchMedia; its id follows from the message */
    public function effect(Vendor $vendor, string $wamid): array
    {
        return [
            'kind' => 'fetch_media',
            'id' => Uuid::of(Uuid::EFFECTS, "{$vendor->uid}:{$wamid}:media:{$this->id}"),
            'media_id' => $this->id,
            'wamid' => $wamid,
            'type' => $this->type,
        ] + array_filter([
            'mime_type' => $this->mimeType,
            'sha256' => $this->sha256,
            'filename' => $this->filename,
        ], 'is_string');
    }

    /** @return array<string, ?string> what a row keeps of it until it is reported */
    public function kept(): array
    {
        return ['id' => $this->id, 'state' => 'requested', 'mime_type' => $this->mimeType];
    }
}
