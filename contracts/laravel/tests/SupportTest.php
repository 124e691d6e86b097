<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use stdClass;
use WhatsappSidecar\Laravel\Http\Input;
use WhatsappSidecar\Laravel\Http\Refused;
use WhatsappSidecar\Laravel\Support\Json;
use WhatsappSidecar\Laravel\Support\Time;
use WhatsappSidecar\Laravel\Support\Uuid;
use WhatsappSidecar\Laravel\Webhook\Envelope;

final class SupportTest extends TestCase
{
    public function testTimesAreWholeSecondsAndNeverEarly(): void
    {
        self::assertSame('2023-11-14 22:13:20', Time::text(1700000000999));
        self::assertSame('2023-11-14 22:13:21', Time::due(1700000000001, 0));
        self::assertSame('2023-11-14 22:13:20', Time::due(1700000000000, 0));
        self::assertSame('9999-12-31 23:59:59', Time::due(PHP_INT_MAX, 0));
        self::assertSame('1970-01-01 00:00:00', Time::text(-5));
        self::assertSame(1700000000000, Time::ms('2023-11-14T22:13:20.123Z'));
        self::assertNull(Time::ms(''));
        $times = array_map([Time::class, 'metaMs'], ['1', 5, '1.5', true, null]);
        self::assertSame([1000, 5000, null, null, null], $times);
    }

    public function testJsonKeepsWhatItDoesNotKnow(): void
    {
        $text = '{"a":{},"b":[],"c":1.0,"d":123456789012345678901234567890,"é":"\u2028/"}';
        self::assertSame($text, Json::dump(Json::read($text)));
        self::assertEquals(new stdClass(), Json::object('[1]'));
        self::assertEquals(new stdClass(), Json::object('broken'));
    }

    public function testWhatAColumnDoesNotTakeBecomesAText(): void
    {
        $deep = str_repeat('[', 40) . str_repeat(']', 40);
        self::assertSame(Json::dump($deep), Json::column($deep));
        self::assertSame('"no json"', Json::column('no json'));
        self::assertSame('{"a": 1}', Json::column('{"a": 1}'));
        self::assertIsString(Json::shallow(Json::read($deep)));
    }

    public function testUidsFollowFromNamesAsElsewhere(): void
    {
        // uuid.uuid5(uuid.NAMESPACE_DNS, "python.org"), from the documentation of Python's uuid.
        $dns = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
        self::assertSame('886313e1-3b8a-5372-9b90-0c9aee199e5d', Uuid::of($dns, 'python.org'));
        $form = '/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/';
        self::assertMatchesRegularExpression($form, Uuid::random());
    }

    public function testARefusalNamesTheField(): void
    {
        $input = Input::ofBody('{"results": [{"at": "x"}]}', ['results']);
        try {
            $input->parts('results', ['at'], 10)[0]->integer('at');
            self::fail('accepted');
        } catch (Refused $refused) {
            self::assertSame([400, 'request_invalid'], [$refused->status, $refused->reason]);
            self::assertStringStartsWith('results.0.at: ', $refused->getMessage());
        }
    }

    public function testAnEnvelopeAroundOneUpdateHoldsNothingElse(): void
    {
        $value = '{"metadata": {"phone_number_id": "1"}, "contacts": [{"wa_id": "7"}],'
            . ' "messages": [{"id": "a", "from": "7"}, {"id": "b", "from": "8"}], "statuses": [{"id": "c"}]}';
        $webhook = Json::read('{"entry": [{"changes": [{"field": "messages", "value": ' . $value . '}]}]}');
        $parts = Envelope::split($webhook);
        self::assertSame(['a', 'b', 'c'], array_map(static fn ($part) => $part->wamid(), $parts));
        $alone = Envelope::around($parts[1])->entry[0]->changes[0]->value;
        self::assertSame(['b'], array_column($alone->messages, 'id'));
        self::assertFalse(isset($alone->statuses));
        self::assertSame('1', $alone->metadata->phone_number_id);
        self::assertSame(['a'], array_column($parts[0]->value->messages, 'id'));
    }
}
