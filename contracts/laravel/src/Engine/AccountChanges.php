<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Store\Contacts;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Move;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Part;
use WhatsappSidecar\Laravel\Webhook\Person;
use WhatsappSidecar\Laravel\Webhook\Update;

/** Applies changes of the account: it was disconnected, or contacts changed on the business's phone. */
final class AccountChanges
{
    public function __construct(
        private Vendors $vendors,
        private Contacts $contacts,
        private MarketingPreferences $preferences
    ) {
    }

    public function apply(Vendor $vendor, Update $update): Outcome
    {
        $part = $update->part;

        return match ($part->field) {
            'account_update' => $this->updateAccount($vendor, $update),
            'user_preferences' => $this->preferences->apply($vendor, $update),
            'smb_app_state_sync' => $this->syncContacts($vendor, $part),
            'user_id_update' => $this->followPeople($vendor, $part),
            default => Outcome::ignored('field_not_used'),
        };
    }

    /** Disconnect the vendor's own account where the application was removed from it. */
    private function updateAccount(Vendor $vendor, Update $update): Outcome
    {
        $value = $update->part->value;
        if (($value->event ?? null) !== 'PARTNER_REMOVED') {
            return Outcome::ignored('event_not_used');
        }
        $named = Json::section($value, 'waba_info')->waba_id ?? null;
        $account = Envelope::id($named) ?? $update->part->accountId;
        if ($account === null || $account !== $vendor->setting('business_account_id')) {
            return Outcome::ignored('account_not_own');
        }
        if ($vendor->setting('disconnected_at') === null) {
            $this->vendors->set($vendor, 'disconnected_at', $this->vendors->now());
        }

        return Outcome::done();
    }

    /** People who have another user id now are the contacts that they were. */
    private function followPeople(Vendor $vendor, Part $part): Outcome
    {
        $moves = array_filter(
            Move::ofField($part->value),
            static fn (Move $move): bool => ! $move->new->hasNumber($part->ownNumber())
        );
        foreach ($moves as $move) {
            $this->contacts->follow($vendor, $move);
        }

        return $moves === [] ? Outcome::ignored('no_user_ids') : Outcome::done();
    }

    /** Upsert the contacts of the business's phone. What was removed there is kept here. */
    private function syncContacts(Vendor $vendor, Part $part): Outcome
    {
        $outcome = Outcome::ignored('no_contacts');
        foreach (Envelope::objects($part->value->state_sync ?? null) as $change) {
            $contact = $change->contact ?? null;
            $added = ($change->type ?? null) === 'contact' && ($change->action ?? null) !== 'remove';
            if (! $added || ! $contact instanceof stdClass) {
                continue;
            }
            $number = Person::of([$contact->phone_number ?? null])->waId;
            $person = new Person($number, Envelope::text($contact->user_id ?? null));
            if ($person->isKnown() && ! $person->hasNumber($part->ownNumber())) {
                $this->contacts->upsert(
                    $vendor,
                    $person,
                    Envelope::text($contact->full_name ?? null),
                    Envelope::text($contact->first_name ?? null)
                );
                $outcome = Outcome::done();
            }
        }

        return $outcome;
    }
}
