<?php

declare(strict_types=1);

namespace App;

use App\Models\QueuedMessage;
use Illuminate\Support\Collection;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Str;
use WhatsappSidecar\Laravel\Store\Vendor;
use WhatsappSidecar\Laravel\Store\Vendors;

/** What the application's own campaign cron makes of rows: sends, and what has become of them. */
final class CampaignSends
{
    private const RATE_LIMIT = 130429;

    private const MAX_RETRIES = 5;

    public function __construct(private CloudApi $api, private Vendors $vendors)
    {
    }

    /** @param Collection<int, QueuedMessage> $rows in 3 */
    public function send(Collection $rows): void
    {
        $vendors = [];
        foreach ($this->vendors->loadByIds($rows->pluck('vendors__id')->all()) as $vendor) {
            $vendors[$vendor->id] = $vendor;
        }
        $messages = $rows->map(static function (QueuedMessage $row) use ($vendors): array {
            $vendor = $vendors[$row->vendors__id];

            return [(string) $vendor->setting('access_token'), self::number($row, $vendor), self::message($row)];
        })->all();
        foreach ($this->api->sendAll($messages) as $key => [$status, $answer]) {
            $this->settle($rows[$key], $messages[$key][1], $status, $answer);
        }
    }

    public static function number(QueuedMessage $row, Vendor $vendor): string
    {
        return (string) ($row->__data['campaign_data']['fromPhoneNumberId']
            ?? $vendor->setting('current_phone_number_id'));
    }

    /** @return array<string, mixed> */
    public static function message(QueuedMessage $row): array
    {
        $campaign = $row->__data['campaign_data'];

        return ['to' => $row->phone_with_country_code, 'type' => 'template', 'template' => [
            'name' => $campaign['whatsAppTemplateName'],
            'language' => ['code' => $campaign['whatsAppTemplateLanguage']],
            'components' => self::components($row),
        ]];
    }

    /** @return list<array<string, mixed>> filled in another way than the row has it where somebody wants to see that */
    private static function components(QueuedMessage $row): array
    {
        $components = $row->__data['campaign_data']['messageComponents'];
        if (is_file(storage_path('fills_otherwise'))) {
            $components[0]['parameters'][0]['text'] = 'Dear customer';
        }

        return $components;
    }

    /** @param array<string, mixed> $answer */
    public function settle(QueuedMessage $row, string $number, int $status, array $answer): void
    {
        if ($status === 200 && isset($answer['messages'][0]['id'])) {
            $this->log($row, $number, $answer);
            $row->become(4);

            return;
        }
        $code = $answer['error']['code'] ?? null;
        $error = $answer['error']['message'] ?? ($status === 0 ? 'no answer' : "HTTP {$status}");
        $retries = (int) $row->retries + 1;
        if (($status === 0 || $code === self::RATE_LIMIT) && $retries <= self::MAX_RETRIES) {
            $due = date('Y-m-d H:i:s', time() + 60 * $retries);
            $row->become(1, ['retries' => $retries, 'scheduled_at' => $due], 'requeued_error', $error);
        } else {
            $row->become(2, [], 'campaign_error', $error);
        }
    }

    /** @param array<string, mixed> $answer */
    private function log(QueuedMessage $row, string $number, array $answer): void
    {
        $now = date('Y-m-d H:i:s');
        $data = $row->__data;
        $waId = $answer['contacts'][0]['wa_id'] ?? $row->phone_with_country_code;
        DB::table('whatsapp_message_logs')->insert([
            '_uid' => (string) Str::uuid(),
            'created_at' => $now,
            'updated_at' => $now,
            'vendors__id' => $row->vendors__id,
            'contacts__id' => $row->contacts__id,
            'campaigns__id' => $row->campaigns__id,
            'status' => substr($answer['messages'][0]['message_status'] ?? 'accepted', 0, 10),
            'wamid' => $answer['messages'][0]['id'],
            'contact_wa_id' => $waId,
            'wab_phone_number_id' => $number,
            'is_incoming_message' => 0,
            '__data' => json_encode([
                'contact_data' => $data['contact_data'] ?? null,
                'initial_response' => $answer,
                'template_proforma' => $data['campaign_data']['templateProforma'] ?? null,
                'template_components' => $data['campaign_data']['templateComponents'] ?? null,
                'template_component_values' => self::components($row),
            ]),
        ]);
        if ($waId !== $row->phone_with_country_code) {
            DB::table('contacts')->where('_id', $row->contacts__id)->update(['wa_id' => $waId]);
        }
    }
}
