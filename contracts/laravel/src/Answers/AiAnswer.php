<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Answers;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;

/** The outcome of a question to an AI. */
final class AiAnswer
{
    public const FIELDS = ['id', 'vendor_uid', 'outcome', 'text', 'error', 'usage', 'at'];

    private const OUTCOMES = ['answered', 'failed', 'superseded'];

    public string $id;

    public string $vendorUid;

    public string $outcome;

    public ?string $text;

    public ?string $error;

    public ?stdClass $usage;

    public int $at;

    private function __construct(Input $input)
    {
        $this->id = $input->text('id');
        $this->vendorUid = $input->text('vendor_uid');
        $this->outcome = $input->oneOf('outcome', self::OUTCOMES);
        $this->text = $input->optionalText('text');
        $this->error = $input->optionalText('error');
        $this->usage = $input->optionalObject('usage');
        $this->at = $input->integer('at');
    }

    public static function of(Input $input): self
    {
        return new self($input);
    }

    /** Tell whether there is nothing to send as an answer. */
    public function isFailure(): bool
    {
        return $this->outcome === 'failed' || ($this->outcome === 'answered' && trim((string) $this->text) === '');
    }
}
