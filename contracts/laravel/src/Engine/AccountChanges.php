<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use stdClass;
use WhatsappSidecar\Laravel\Store\Contacts;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Vendors;
use WhatsappSidecar\Laravel\Webhook\Envelope;
use WhatsappSidecar\Laravel\Webhook\Outcome;
use WhatsappSidecar\Laravel\Webhook\Part;

/** Applies changes of the account: it was disconnected, or contacts changed on the business's phone. */
final class AccountChanges
{
    public function __construct(private Vendors $vendors, private Contacts $contacts)
    {
    }

    public function apply(Vendor $vendor, Part $part): Outcome
    {
        if ($part->field === 'account_update' && ($part->value->event ?? null) === 'PARTNER_REMOVED') {
            if ($vendor->setting('disconnected_at') === null) {
                $this->vendors->set($vendor, 'disconnected_at', $this->vendors->now());
            }

            return Outcome::done();
        }

        return $part->field === 'smb_app_state_sync'
            ? $this->syncContacts($vendor, $part->value)
            : Outcome::ignored('field_not_used');
    }

    /** Upsert the contacts of the business's phone. What was removed there is kept here. */
    private function syncContacts(Vendor $vendor, stdClass $value): Outcome
    {
        $outcome = Outcome::ignored('no_contacts');
        foreach (Envelope::objects($value->state_sync ?? null) as $change) {
            $contact = $change->contact ?? null;
            $added = ($change->type ?? null) === 'contact' && ($change->action ?? null) !== 'remove';
            if (! $added || ! $contact instanceof stdClass) {
                continue;
            }
            $waId = preg_replace('/[^0-9]/', '', Envelope::text($contact->phone_number ?? null) ?? '');
            if ($waId !== '') {
                $this->contacts->upsert(
                    $vendor,
                    $waId,
                    Envelope::text($contact->full_name ?? null),
                    Envelope::text($contact->first_name ?? null)
                );
                $outcome = Outcome::done();
            }
        }

        return $outcome;
    }
}
