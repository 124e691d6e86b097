<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Tests;

use PHPUnit\Framework\TestCase;
use WhatsappSidecar\Laravel\Webhook\Person;

/** The other side is held to the same vectors by tests/contracts/test_people.py. */
final class PersonTest extends TestCase
{
    /** @dataProvider people */
    #[\PHPUnit\Framework\Attributes\DataProvider('people')]
    public function testWhoIsMeant(array $candidates, array $userIds, array $expected): void
    {
        $person = Person::of($candidates, $userIds);
        self::assertSame($expected, [$person->waId, $person->userId]);
        self::assertSame($expected !== [null, null], $person->isKnown());
    }

    /** @dataProvider forms */
    #[\PHPUnit\Framework\Attributes\DataProvider('forms')]
    public function testTheFormsOfANumber(string $digits, array $forms): void
    {
        self::assertSame($forms, Person::numberForms($digits));
        foreach ($forms as $form) {
            self::assertTrue((new Person($digits))->hasNumber("+{$form}"));
        }
        self::assertFalse((new Person($digits))->hasNumber("{$digits}0"));
        self::assertFalse((new Person())->hasNumber($digits));
        self::assertFalse((new Person($digits))->hasNumber(null));
    }

    public function testAnElementAndTheContactThatBelongsToIt(): void
    {
        $item = (object) ['from' => 'US.1', 'to' => '15550001111', 'to_user_id' => 'US.2'];
        $contact = (object) ['wa_id' => '15550002222'];
        self::assertEquals(new Person('15550002222', 'US.1'), Person::ofItem($item, $contact, 'from'));
        self::assertEquals(new Person('15550001111', 'US.2'), Person::ofItem($item, $contact, 'to'));
    }

    public static function people(): array
    {
        return self::vectors()['people'];
    }

    public static function forms(): array
    {
        return self::vectors()['forms'];
    }

    /** @return array<string, mixed> */
    private static function vectors(): array
    {
        $file = __DIR__ . '/../../vectors/people.json';

        return json_decode(file_get_contents($file), true, 512, JSON_THROW_ON_ERROR);
    }
}
