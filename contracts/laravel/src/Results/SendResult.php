<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Results;

use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Webhook\Person;
use WhatsappSidecar\Laravel\Store\Wamid;

/** The outcome of one claimed row or, without a campaign, of one pending row of the log. */
final class SendResult
{
    public const FIELDS = [
        'uid', 'vendor_uid', 'campaign_uid', 'claim_uid', 'outcome', 'attempted', 'at', 'phone_number_id',
        'wamid', 'message_status', 'wa_id', 'user_id', 'response', 'error', 'due_at',
    ];

    public const OUTCOMES = ['accepted', 'failed', 'requeue', 'unknown'];

    public string $uid;

    public string $vendorUid;

    public ?string $campaignUid;

    public ?string $claimUid;

    public string $outcome;

    public bool $attempted;

    public int $at;

    public string $phoneNumberId;

    /** Whole. */
    public ?string $wamid;

    /** As the log's column holds it. */
    public ?string $storedWamid;

    public ?string $messageStatus;

    public ?string $waId;

    public ?string $userId;

    public stdClass $response;

    public ?int $dueAt;

    public bool $hasError = false;

    private ?int $errorCode = null;

    private string $errorMessage = 'No reason was given.';

    private ?string $errorDetails = null;

    public static function of(Input $input): self
    {
        $result = new self();
        $result->uid = $input->text('uid');
        $result->vendorUid = $input->text('vendor_uid');
        $result->campaignUid = $input->optionalText('campaign_uid');
        $result->claimUid = $input->optionalText('claim_uid');
        $result->outcome = $input->oneOf('outcome', self::OUTCOMES);
        $result->attempted = $input->flag('attempted', true);
        $result->at = $input->integer('at');
        $result->phoneNumberId = $input->text('phone_number_id');
        $result->wamid = $input->optionalText('wamid');
        $result->storedWamid = $result->wamid === null ? null : Wamid::stored($result->wamid);
        $result->messageStatus = $input->optionalText('message_status');
        $result->waId = Person::phoneDigits($input->optionalText('wa_id') ?? '');
        $result->userId = $input->optionalText('user_id') ?: null;
        $result->response = $input->optionalObject('response') ?? new stdClass();
        $result->dueAt = $input->optionalInteger('due_at');
        $error = $input->part('error', ['code', 'message', 'details']);
        if ($error !== null) {
            $result->hasError = true;
            $result->errorCode = $error->optionalInteger('code');
            $result->errorMessage = $error->text('message');
            $result->errorDetails = $error->optionalText('details');
        }

        return $result;
    }

    /** The mark by which the row remembers the result. */
    public function mark(): string
    {
        return "{$this->outcome}:{$this->at}";
    }

    /**
     * Return `process_response`: the message, and the API's code unless a status is given.
     *
     * @return array{error_message: string, error_status: string}
     */
    public function processResponse(?string $status = null): array
    {
        $code = $this->errorCode === null ? 'connection_error' : (string) $this->errorCode;

        $message = $this->errorMessage . ($this->errorDetails ? ": {$this->errorDetails}" : '');

        return ['error_message' => $message, 'error_status' => $status ?? $code];
    }

    /**
     * Return the error as a failed status leaves it in a row of the log.
     *
     * @return array<string, mixed>
     */
    public function error(): array
    {
        return [
            'code' => $this->errorCode,
            'title' => null,
            'message' => $this->errorMessage,
            'details' => $this->errorDetails,
        ];
    }
}
