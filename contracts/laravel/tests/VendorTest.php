<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Store\BroadcastConnection;
use WhatsappSidecar\Laravel\Store\Vendor;

final class VendorTest extends TestCase
{
    /** @dataProvider hours */
    #[\PHPUnit\Framework\Attributes\DataProvider('hours')]
    public function testBotHours(array $settings, ?array $hours): void
    {
        self::assertEquals($hours, self::vendor($settings)->botHours());
    }

    public static function hours(): array
    {
        $separate = ['bot_hours_start' => '09:00', 'bot_hours_end' => '17:00'];
        $day = ['start' => '09:00', 'end' => '17:00', 'timezone' => 'UTC', 'trigger_types' => null];
        $json = '{"start": "22:00", "end": "06:00", "timezone": "Asia/Kolkata", "trigger_types": ["is"]}';
        $night = ['start' => '22:00', 'end' => '06:00', 'timezone' => 'Asia/Kolkata', 'trigger_types' => ['is']];

        return [
            'none' => [[], null],
            'JSON' => [['bot_hours' => $json], $night],
            'JSON comes first' => [['bot_hours' => $json] + $separate, $night],
            'broken JSON' => [['bot_hours' => '{"start": 9'], null],
            'separate' => [$separate, $day],
            'without an end' => [['bot_hours_start' => '09:00'], null],
            'switched off' => [$separate + ['bot_hours_on' => '0'], null],
            'switched on' => [$separate + ['bot_hours_on' => '1'], $day],
            'zone and types' => [
                $separate + ['bot_hours_timezone' => 'Europe/Berlin', 'bot_hours_types' => 'is, welcome'],
                ['timezone' => 'Europe/Berlin', 'trigger_types' => ['is', 'welcome']] + $day,
            ],
            'types as JSON' => [$separate + ['bot_hours_types' => '["is"]'], ['trigger_types' => ['is']] + $day],
        ];
    }

    /**
     * @dataProvider forwards
     *
     * @param list<string> $told
     */
    #[\PHPUnit\Framework\Attributes\DataProvider('forwards')]
    public function testWhatItsOwnWebhookGets(array $settings, array $told): void
    {
        $vendor = self::vendor($settings);
        $fields = ['messages', '', 'history', 'calls'];
        self::assertSame($told, array_values(array_filter($fields, [$vendor, 'forwards'])));
    }

    public static function forwards(): array
    {
        $url = ['forward_url' => 'http://v'];

        return [
            'no webhook' => [['forward_fields' => 'messages'], []],
            'everything' => [$url, ['messages', '', 'history', 'calls']],
            'an empty setting' => [$url + ['forward_fields' => ''], ['messages', '', 'history', 'calls']],
            'names' => [$url + ['forward_fields' => 'calls , messages'], ['messages', '', 'calls']],
            'JSON' => [$url + ['forward_fields' => ' ["history", 5]'], ['history']],
            'none' => [$url + ['forward_fields' => '[]'], []],
            'broken JSON' => [$url + ['forward_fields' => '["history"'], []],
        ];
    }

    public function testProvidersOfJsonAndOfSettingsOfTheirOwn(): void
    {
        $vendor = self::vendor([
            'ai_providers' => '[{"name": "flowise", "kind": "flowise", "url": "http://f/1"}, {"name": "no url"}, 5]',
            'openai_api_key' => 'sk-1',
            'openai_model' => 'm',
            'flowise_url' => 'http://f/2',
            'ai_bot_provider' => 'openai',
        ]);
        [$flowise, $openai] = $vendor->aiProviders();
        self::assertSame(['flowise', 'http://f/1', null], [$flowise['kind'], $flowise['url'], $flowise['api_key']]);
        self::assertSame(
            ['openai', 'openai', 'https://api.openai.com/v1', 'sk-1', 'm'],
            array_map(static fn (string $name): ?string => $openai[$name], ['name', 'kind', 'url', 'api_key', 'model'])
        );
        self::assertCount(2, $vendor->aiProviders());
        self::assertSame('openai', $vendor->aiBotProvider());
        self::assertNull(self::vendor(['ai_bot_provider' => 'openai'])->aiBotProvider());
    }

    public function testAVendorsOwnBroadcasterComesFirst(): void
    {
        $shared = ['url' => 'https://shared', 'app_id' => '1', 'key' => 'k', 'secret' => 's'];
        $own = '{"url": "http://own", "app_id": "2", "key": "k", "secret": "s"}';
        self::assertSame($shared, self::vendor([], $shared)->broadcaster());
        self::assertSame('http://own', self::vendor(['broadcaster' => $own], $shared)->broadcaster()['url']);
        self::assertSame($shared, self::vendor(['broadcaster' => '{"url": "http://own"}'], $shared)->broadcaster());
        self::assertNull(self::vendor([])->broadcaster());
    }

    /** @dataProvider connections */
    #[\PHPUnit\Framework\Attributes\DataProvider('connections')]
    public function testWhereAConnectionOfLaravelsIs(array $options, string $url): void
    {
        $connection = ['driver' => 'pusher', 'app_id' => 7, 'key' => 'k', 'secret' => 's', 'options' => $options];
        self::assertSame(
            ['url' => $url, 'app_id' => '7', 'key' => 'k', 'secret' => 's'],
            BroadcastConnection::broadcaster($connection)
        );
    }

    public static function connections(): array
    {
        return [
            [['cluster' => 'eu', 'useTLS' => true], 'https://api-eu.pusher.com'],
            [[], 'https://api-mt1.pusher.com'],
            [['host' => '127.0.0.1', 'port' => 6001, 'scheme' => 'http'], 'http://127.0.0.1:6001'],
            [['host' => 'ws.example.com', 'port' => '443', 'scheme' => 'https'], 'https://ws.example.com:443'],
        ];
    }

    public function testAConnectionWithoutKeysIsNone(): void
    {
        self::assertNull(BroadcastConnection::broadcaster(null));
        self::assertNull(BroadcastConnection::broadcaster(['driver' => 'log']));
        self::assertNull(BroadcastConnection::broadcaster(['app_id' => '1', 'key' => 'k', 'secret' => null]));
    }

    private static function vendor(array $settings, ?array $broadcaster = null): Vendor
    {
        return new Vendor(1, 'v', true, $settings, [], $broadcaster);
    }
}
