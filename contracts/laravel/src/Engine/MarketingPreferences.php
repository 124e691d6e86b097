<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Store\ContactRows;
use WhatsappSidecar\Laravel\Store\Database;
use WhatsappSidecar\Laravel\Store\HeldContacts;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Support\Clock;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Person;
use WhatsappSidecar\Laravel\Webhook\Update;

/**
 * Opts people out who stop marketing messages in WhatsApp, and in again who resume them. What was said
 * last counts, in whatever order it comes; `__data.sidecar.marketing_preference` remembers it.
 */
final class MarketingPreferences
{
    private const OPT_OUT = ['stop' => 1, 'resume' => 0];

    private const CHANGE = 'UPDATE {contacts} SET whatsapp_opt_out = ?, updated_at = ?,'
        . " __data = JSON_MERGE_PATCH(COALESCE(__data, '{}'), ?) WHERE _id = ?";

    public function __construct(
        private Database $db,
        private ContactRows $contacts,
        private HeldContacts $held,
        private Clock $clock,
        private bool $isOn
    ) {
    }

    public function apply(Vendor $vendor, Update $update): Outcome
    {
        if (! $this->isOn) {
            return Outcome::ignored('field_not_used');
        }
        $outcome = Outcome::ignored('preference_not_used');
        foreach (Envelope::objects($update->part->value->user_preferences ?? null) as $said) {
            if (($said->category ?? null) !== 'marketing_messages' || self::optOut($said) === null) {
                continue;
            }
            $at = Time::metaMs($said->timestamp ?? null) ?? $update->receivedAt ?? $this->clock->nowMs();
            $contacts = $this->find($vendor, $said);
            foreach ($contacts as $contact) {
                $this->prefer($contact, (string) $said->value, $at);
            }
            if ($outcome->result !== 'done') {
                $outcome = $contacts === [] ? Outcome::ignored('contact_unknown') : Outcome::done();
            }
        }

        return $outcome;
    }

    private static function optOut(stdClass $said): ?int
    {
        $value = $said->value ?? null;

        return is_string($value) ? self::OPT_OUT[$value] ?? null : null;
    }

    /** @return list<stdClass> rows of contacts, by number and by user id; none is created */
    private function find(Vendor $vendor, stdClass $said): array
    {
        $person = Person::of([$said->wa_id ?? null], [$said->user_id ?? null]);
        $rows = array_filter([
            $this->held->byNumber($vendor, $person->waId),
            $this->contacts->byUserId($vendor, $person->userId),
        ]);
        $rows = array_values(array_column($rows, null, '_id'));
        $this->held->hold($rows);

        return $rows;
    }

    private function prefer(stdClass $contact, string $value, int $at): void
    {
        $known = Json::section(Json::section(Json::object($contact->__data), 'sidecar'), 'marketing_preference');
        $last = is_int($known->at ?? null) ? $known->at : PHP_INT_MIN;
        // Of two at the same moment, the one that sends less.
        if ($at < $last || ($at === $last && $value !== 'stop')) {
            return;
        }
        $patch = ['sidecar' => ['marketing_preference' => ['value' => $value, 'at' => $at]]];
        $now = Time::text($this->clock->nowMs());
        $this->db->change(self::CHANGE, [self::OPT_OUT[$value], $now, Json::dump($patch), $contact->_id]);
    }
}
