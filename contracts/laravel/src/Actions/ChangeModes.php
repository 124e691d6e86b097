<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Actions;

use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Store\Modes;
use WhatsappSidecar\Laravel\Store\ModesTable;

/** Lists and changes who does vendors' work. It makes all changes of a call, or none. */
final class ChangeModes
{
    private const FIELDS = ['changes', 'version', 'by', 'reason', 'history'];

    private const MAX_CHANGES = 10_000;

    private const MODES = [
        'webhooks' => ['php', 'shadow', 'sidecar'],
        'campaigns' => ['php', 'shadow', 'sidecar', 'held'],
        'bots' => ['php', 'shadow', 'sidecar'],
    ];

    public function __construct(private ModesTable $table)
    {
    }

    /** @return array<string, mixed> */
    public function handle(string $body): array
    {
        $input = Input::ofBody($body, self::FIELDS);
        $changes = $input->parts('changes', ['vendor_uid', ...Modes::CAPABILITIES], self::MAX_CHANGES, 0);
        $version = $input->optionalInteger('version');
        $by = $input->optionalText('by', 100);
        $reason = $input->optionalText('reason', 500);
        $history = $input->flag('history');
        if ($changes !== []) {
            $this->table->change(
                array_map([self::class, 'change'], $changes),
                $version ?? throw Refused::invalid('version: is needed with changes'),
                $by,
                $reason
            );
        }
        $vendors = $this->table->vendors($history);

        return [
            'version' => max([0, ...array_column($vendors, 'version')]),
            'vendors' => array_map(static fn (array $vendor): array => [
                'vendor_uid' => $vendor['uid'],
                'title' => $vendor['title'],
                'modes' => $vendor['modes'],
                'history' => $vendor['history'],
            ], $vendors),
        ];
    }

    /** @return array{string, array<string, string>} a vendor's uid, and the modes that are to change */
    private static function change(Input $change): array
    {
        $modes = [];
        foreach (self::MODES as $capability => $allowed) {
            $modes[$capability] = $change->optionalOneOf($capability, $allowed);
        }

        return [$change->text('vendor_uid'), array_filter($modes)];
    }
}
