<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Media;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Webhook\Envelope;

/** What the sidecar reports of media that it was asked to fetch. */
final class MediaReport
{
    public const FIELDS = [
        'id', 'vendor_uid', 'media_id', 'wamid', 'state', 'path', 'bytes', 'mime_type', 'sha256', 'reason', 'at',
    ];

    private const STATES = ['stored', 'failed'];

    public string $id;

    public string $vendorUid;

    public string $wamid;

    /** @var array<string, mixed> as `__data.media` keeps it */
    public array $media;

    private function __construct(Input $input)
    {
        $this->id = $input->text('id');
        $this->vendorUid = $input->text('vendor_uid');
        $this->wamid = $input->text('wamid');
        $this->media = [
            'id' => $input->text('media_id'),
            'state' => $input->oneOf('state', self::STATES),
            'path' => $input->optionalText('path'),
            'bytes' => $input->optionalInteger('bytes', 0),
            'mime_type' => $input->optionalText('mime_type'),
            'sha256' => $input->optionalText('sha256'),
            'reason' => $input->optionalText('reason'),
            'at' => $input->integer('at'),
        ];
    }

    public static function of(Input $input): self
    {
        return new self($input);
    }

    public function isStored(): bool
    {
        return $this->media['state'] === 'stored';
    }

    /**
     * Return what changes in the message's `__data`; null if nothing does.
     *
     * @param stdClass $kept its `media`
     * @param mixed $effects its `sidecar.effects`: this one is done with
     */
    public function patch(stdClass $kept, mixed $effects): ?string
    {
        if (($kept->state ?? null) === 'stored' && ! $this->isStored()) {
            return null;
        }
        $patch = ['media' => $this->media];
        if (is_array($effects)) {
            $patch['sidecar']['effects'] = array_values(array_filter(
                Envelope::objects($effects),
                fn (stdClass $effect): bool => ($effect->id ?? null) !== $this->id
            ));
        }

        return Json::dump($patch);
    }
}
