<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Effects;

use Closure;
use InvalidArgumentException;
use WhatsappSidecar\Laravel\Client\SidecarError;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Media\MessageMedia;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\Recipient;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Update;

/**
 * Network I/O that this application asks the sidecar to do.
 *
 * While an update is handled, effects go out with the answer about it; their ids follow from the update
 * and from what is asked for, so that one that is handled twice asks for the same. At any other time
 * each is posted to the sidecar, after the transaction that is open, if one is.
 *
 * A vendor is named by `_uid` or by `_id`.
 */
final class Effects
{
    private ?Collected $collected = null;

    public function __construct(
        private Database $db,
        private Vendors $vendors,
        private PendingMessages $messages,
        private KeptEffects $kept,
        private Posts $posts,
        private Clock $clock
    ) {
    }

    /**
     * Handle an update: what is asked for meanwhile is added to its outcome, if it is done.
     *
     * @param Closure(): Outcome $handle
     */
    public function during(Vendor $vendor, Update $update, Closure $handle): Outcome
    {
        if ($update->isRaw()) {
            return $handle();
        }
        $outer = $this->collected;
        $collected = $this->collected = new Collected($vendor, $update);
        try {
            $outcome = $handle();
        } finally {
            $this->collected = $outer;
        }

        return $outcome->result === 'done' ? $this->added($collected, $outcome) : $outcome;
    }

    /** Return the outcome of an update whose handling was cut short, with what was asked for by then. */
    public function cutShort(): Outcome
    {
        return $this->collected === null ? Outcome::done() : $this->added($this->collected, Outcome::done());
    }

    /** Something was rolled back: it may be the rows of messages that were asked for meanwhile. */
    public function rolledBack(): void
    {
        if ($this->collected !== null) {
            $this->collected->rolledBack = true;
        }
    }

    private function added(Collected $collected, Outcome $outcome): Outcome
    {
        $asked = $collected->rolledBack ? $this->messages->standing($collected->effects) : $collected->effects;
        if ($asked === []) {
            return $outcome;
        }
        $effects = [...$outcome->effects, ...$asked];
        $wamid = $collected->update->part->wamid();
        if ($wamid !== null && (! $collected->kept || $collected->rolledBack || $outcome->effects !== [])) {
            $this->kept->keep($collected->vendor, $wamid, $effects);
        }

        return Outcome::done($effects, $outcome->campaignUid);
    }

    /**
     * Return the bots that match the message that is being handled, as the sidecar has found them; null
     * if there is none, or its bots are matched here.
     *
     * @return list<array{bot_uid: string, trigger_type: string, trigger: ?string}>|null
     */
    public function matchedBots(): ?array
    {
        return $this->collected === null ? null : $this->collected->update->bots;
    }

    /**
     * Have a message sent, ahead of campaigns. It is stored in the log at once, as pending.
     *
     * @param string $to a phone number with its country code, or the user id of a person who hides it
     * @param array<string, mixed> $message body of the messages call: type, and the part of that name
     * @param int|null $contactId `contacts._id`; null looks it up
     * @param string|null $phoneNumberId null for the vendor's current number
     * @param int|null $expiresAt unix ms; it is not sent later
     * @param string|null $key what makes it one: a second call with the same key sends nothing new
     * @param array<string, mixed> $columns further columns of the log row, messaged_by_users__id say
     *
     * @return string the `_uid` of its log row
     *
     * @throws SidecarError if it was refused (the row has failed then), or if the sidecar does not answer
     *     (the row stays pending: the sidecar has taken it, or asks for it within minutes)
     */
    public function sendMessage(
        int|string $vendor,
        string $to,
        array $message,
        ?int $contactId = null,
        ?string $phoneNumberId = null,
        ?int $expiresAt = null,
        ?string $key = null,
        array $columns = []
    ): string {
        $vendor = $this->vendor($vendor);
        if (! is_string($message['type'] ?? null)) {
            throw new InvalidArgumentException('message: must have a type, as the body of the messages call');
        }
        $address = array_filter(Recipient::of($to));
        if ($address === []) {
            throw new InvalidArgumentException('to: must be a phone number with its country code, or a user id');
        }
        $fields = $address + ['message' => $message];
        $effect = ['kind' => 'send_message', 'id' => $this->id($vendor, 'send_message', $key, $fields)] + $fields
            + array_filter(['phone_number_id' => $phoneNumberId, 'expires_at' => $expiresAt]);
        $contactId ??= $this->messages->contactId($vendor, $effect);
        $now = Time::text($this->clock->nowMs());
        $row = PendingMessages::row($vendor, $effect, $contactId, 'application', $now, $columns);
        [$isNew, $added] = $this->db->transaction(fn (): array => [
            $this->messages->store([$row]),
            $this->add($vendor, $effect),
        ]);
        $asked = $isNew || $key === null ? $effect : $this->messages->waiting($effect['id']);
        if (! $added && $asked !== null) {
            $this->posts->postMessage($vendor, (array) $asked);
        }

        return $effect['id'];
    }

    /**
     * Have an AI asked. Its answer goes to the contact, unless somebody has written since.
     *
     * @param string $messageUid `_uid` of the customer's message in the log, which must be stored
     * @param list<array{role: string, content: string}> $messages the conversation, the newest last
     * @param string|null $provider null for the vendor's AI bot, or else its first provider
     * @param array<string, mixed> $options added to the body of the call
     * @param int|null $expiresAt unix ms; it is not asked later
     *
     * @return string the effect's id
     *
     * @throws SidecarError if the sidecar refused it or does not answer
     */
    public function aiReply(
        int|string $vendor,
        string $messageUid,
        array $messages,
        ?string $provider = null,
        ?string $model = null,
        array $options = [],
        ?int $expiresAt = null
    ): string {
        $vendor = $this->vendor($vendor);
        $provider ??= $vendor->aiBotProvider() ?? $vendor->aiProviders()[0]['name'] ?? null;
        if ($provider === null) {
            throw new InvalidArgumentException("vendor '{$vendor->uid}' has no AI provider in its settings");
        }
        $row = $this->db->row(
            'SELECT contacts._uid FROM {logs} AS logs JOIN {contacts} AS contacts ON contacts._id = logs.contacts__id'
                . ' WHERE logs._uid = ? AND logs.vendors__id = ? AND logs.is_incoming_message = 1',
            [$messageUid, $vendor->id]
        );
        if ($row === null) {
            throw new InvalidArgumentException(
                "messageUid: vendor '{$vendor->uid}' has no customer's message '{$messageUid}' in its log; store it"
                    . ' with its contact before you ask'
            );
        }
        $effect = ['kind' => 'ai_reply', 'id' => $messageUid, 'conversation' => $row->_uid, 'provider' => $provider]
            + array_filter(['model' => $model, 'options' => $options, 'expires_at' => $expiresAt])
            + ['messages' => $messages];
        $this->addOrPost($vendor, $effect);

        return $messageUid;
    }

    /**
     * Have something posted to the vendor's own webhook; null for the update that is being handled.
     *
     * @param array<string, mixed>|string|null $body a text is JSON, and is posted as it is
     */
    public function forward(int|string $vendor, array|string|null $body = null, ?string $key = null): void
    {
        $vendor = $this->vendor($vendor);
        if ($body === null && $this->collected === null) {
            throw new InvalidArgumentException('body: is needed when no update is being handled');
        }
        $effect = ['kind' => 'forward', 'id' => $this->id($vendor, 'forward', $key, ['body' => $body])];
        $this->addOrPost($vendor, $effect + match (true) {
            $body === null => [],
            is_string($body) => ['raw' => $body],
            default => ['body' => (object) $body],
        });
    }

    /** @param list<string> $channels as they are on the wire, 100 at most */
    public function broadcast(
        int|string $vendor,
        array $channels,
        string $event,
        mixed $data = null,
        ?string $socketId = null
    ): void {
        $effect = ['kind' => 'broadcast', 'channels' => $channels, 'event' => $event, 'data' => $data]
            + array_filter(['socket_id' => $socketId]);
        $vendor = $this->vendor($vendor);
        if (! $this->add($vendor, $effect)) {
            $this->posts->postBroadcast($vendor, $effect);
        }
    }

    /**
     * Have a message's media fetched into the folder that both sides share; see Media. The same media of
     * the same message is fetched once.
     *
     * @param string $wamid the message's id, as Meta names it
     * @param array<string, mixed> $media id; and type, mime_type, sha256, filename, as the webhook has them
     *
     * @return string the effect's id
     *
     * @throws SidecarError if the sidecar refused it or does not answer
     */
    public function fetchMedia(int|string $vendor, string $wamid, array $media): string
    {
        $vendor = $this->vendor($vendor);
        $id = Envelope::id($media['id'] ?? null);
        if ($id === null) {
            throw new InvalidArgumentException('media: must have an id');
        }
        $named = MessageMedia::named((string) ($media['type'] ?? 'document'), $id, $media);
        $effect = ['kind' => 'fetch_media'] + $named->effect($vendor, $wamid);
        $this->addOrPost($vendor, $effect);

        return $effect['id'];
    }

    /** Tell whether an update is being handled whose answer takes effects along. */
    public function isHandling(): bool
    {
        return $this->collected !== null;
    }

    /** Return the update that is being handled. */
    public function currentUpdate(): ?Update
    {
        return $this->collected === null ? null : $this->collected->update;
    }

    /** Return the vendor whose update is being handled. */
    public function current(): ?Vendor
    {
        return $this->collected === null ? null : $this->collected->vendor;
    }

    private function vendor(int|string $named): Vendor
    {
        if ($this->collected !== null && $this->collected->isOf($named)) {
            return $this->collected->vendor;
        }
        $found = is_int($named) ? $this->vendors->loadByIds([$named]) : $this->vendors->load([$named]);

        return array_values($found)[0] ?? throw Refused::vendorUnknown((string) $named);
    }

    /** @param array<string, mixed> $fields */
    private function id(Vendor $vendor, string $kind, ?string $key, array $fields): string
    {
        if ($this->collected !== null && $this->collected->isOf($vendor->uid)) {
            return $this->collected->id("{$kind}:" . ($key === null ? sha1(Json::dump($fields)) : "key:{$key}"));
        }

        return $key === null ? Uuid::random() : Uuid::of(Uuid::EFFECTS, "{$vendor->uid}:{$kind}:key:{$key}");
    }

    /** @param array<string, mixed> $effect */
    private function addOrPost(Vendor $vendor, array $effect): void
    {
        if (! $this->add($vendor, $effect)) {
            $this->posts->post($vendor, $effect);
        }
    }

    /**
     * Add an effect to those of the update, and keep it with the message's row, if that is there.
     *
     * @param array<string, mixed> $effect
     *
     * @return bool whether an update of this vendor is being handled
     */
    private function add(Vendor $vendor, array $effect): bool
    {
        $collected = $this->collected;
        if ($collected === null || ! $collected->isOf($vendor->uid)) {
            return false;
        }
        if (in_array($effect['id'] ?? '', array_column($collected->effects, 'id'), true)) {
            return true;
        }
        $collected->effects[] = $effect;
        $wamid = $collected->update->part->wamid();
        $collected->kept = $wamid === null || $this->kept->keep($vendor, $wamid, $collected->effects);

        return true;
    }
}
