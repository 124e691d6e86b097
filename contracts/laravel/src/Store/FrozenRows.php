<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Number;

/** What rows of campaigns are sent with, and which of them can or must not be sent. Changes nothing. */
final class FrozenRows
{
    /** Why a row is never sent. */
    private const NOBODY = 'The row has no phone number, and its contact no user id.';

    private const NO_TEMPLATE = 'The row has no template, or no language.';

    private const INVALID = 'campaign_data_invalid_error';

    /** The latest row of a template comes last. */
    private const CATEGORIES = 'SELECT vendors__id, template_name, language, category FROM {templates}'
        . ' WHERE vendors__id IN (%s) AND template_name IN (%s) ORDER BY _id';

    public function __construct(private Database $db, private OptOuts $optOuts)
    {
    }

    /**
     * @param array<int, Campaign> $campaigns theirs, by `_id`
     * @param list<stdClass> $rows of the queue
     *
     * @return list<array{id: int, row: array<string, mixed>, error: ?string, message: ?string}> the rows as the
     *     contract's ClaimedRow; error and message as process_response has them, null of a row that can be sent
     */
    public function of(array $campaigns, array $rows): array
    {
        $contacts = $this->contacts($rows);
        $contactOf = static fn (stdClass $row): ?stdClass => $contacts[$row->contacts__id ?? 0] ?? null;
        $frozen = array_map(
            static fn (stdClass $row): array => self::frozen($row, $campaigns[$row->campaigns__id], $contactOf($row)),
            $rows
        );
        $categories = $this->categories($campaigns, $frozen);
        $found = [];
        foreach ($rows as $position => $row) {
            $one = $frozen[$position];
            $vendorId = $campaigns[$row->campaigns__id]->vendorId;
            $category = $categories["{$vendorId} {$one['template_name']} {$one['template_language']}"] ?? null;
            $error = $this->optOuts->why($row, $contactOf($row), $category);
            $message = $error === null ? self::fault($one) : OptOuts::MESSAGES[$error];
            $found[] = [
                'id' => (int) $row->_id,
                'row' => ['template_category' => $category] + $one,
                'error' => $error ?? ($message === null ? null : self::INVALID),
                'message' => $message,
            ];
        }

        return $found;
    }

    /** @param array<string, mixed> $frozen */
    private static function fault(array $frozen): ?string
    {
        if ($frozen['to'] === null && $frozen['recipient'] === null) {
            return self::NOBODY;
        }

        return $frozen['template_name'] && $frozen['template_language'] ? null : self::NO_TEMPLATE;
    }

    /** @return array<string, mixed> */
    private static function frozen(stdClass $row, Campaign $campaign, ?stdClass $contact): array
    {
        $kept = Json::object($row->__data);
        $data = Json::section($kept, 'campaign_data');
        $number = $data->fromPhoneNumberId ?? null;
        $components = $data->messageComponents ?? null;

        return [
            'uid' => $row->_uid,
            'contact_uid' => $contact?->_uid,
        ] + Recipient::of($row->phone_with_country_code, $contact?->user_id, $kept) + [
            'retries' => (int) $row->retries,
            'from_phone_number_id' => is_scalar($number) && $number ? (string) $number : null,
            'template_name' => self::text($data->whatsAppTemplateName ?? null) ?? $campaign->templateName,
            'template_language' => self::text($data->whatsAppTemplateLanguage ?? null) ?? $campaign->templateLanguage,
            'components' => is_array($components) ? $components : [],
        ];
    }

    private static function text(mixed $value): ?string
    {
        // A template's name of digits alone may stand there as a number.
        $text = is_scalar($value) && ! is_bool($value) || $value instanceof Number ? (string) $value : '';

        return $text === '' ? null : $text;
    }

    /**
     * @param list<stdClass> $rows
     *
     * @return array<int, stdClass> by `_id`
     */
    private function contacts(array $rows): array
    {
        $ids = array_values(array_unique(array_filter(array_column($rows, 'contacts__id'))));
        if ($ids === []) {
            return [];
        }
        $sql = 'SELECT _id, _uid, ' . Recipient::USER_ID_OF_CONTACT . " AS user_id{$this->optOuts->columns()}"
            . ' FROM {contacts} AS contacts WHERE _id IN (' . Database::marks($ids) . ')';

        return array_column($this->db->rows($sql, $ids), null, '_id');
    }

    /**
     * @param array<int, Campaign> $campaigns
     * @param list<array<string, mixed>> $frozen
     *
     * @return array<string, string> Meta's word by vendor, name and language, of templates that are known
     */
    private function categories(array $campaigns, array $frozen): array
    {
        $names = array_values(array_unique(array_filter(array_column($frozen, 'template_name'))));
        if ($names === []) {
            return [];
        }
        $vendors = array_values(array_unique(array_column($campaigns, 'vendorId')));
        $categories = [];
        $sql = sprintf(self::CATEGORIES, Database::marks($vendors), Database::marks($names));
        foreach ($this->db->rows($sql, [...$vendors, ...$names]) as $row) {
            $category = strtoupper(trim((string) $row->category));
            if ($category !== '') {
                $categories["{$row->vendors__id} {$row->template_name} {$row->language}"] = $category;
            }
        }

        return $categories;
    }
}
