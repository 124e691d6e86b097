<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use stdClass;

/**
 * Selects that are made together, each of which finds its rows by an index. One condition for all of them
 * would name every vendor with every number, and the optimizer gives up on so many pairs.
 */
final class Union
{
    /** Selects in one statement. */
    private const MOST = 100;

    /**
     * Return the rows of all selects, in no particular order.
     *
     * @param list<array{string, list<mixed>}> $selects SQL and bindings, with the same columns
     *
     * @return list<stdClass>
     */
    public static function rows(Database $db, array $selects): array
    {
        $rows = [];
        foreach (array_chunk($selects, self::MOST) as $some) {
            $texts = array_column($some, 0);
            $sql = count($texts) === 1 ? $texts[0] : '(' . implode(') UNION ALL (', $texts) . ')';
            array_push($rows, ...$db->rows($sql, array_merge(...array_column($some, 1))));
        }

        return $rows;
    }

    /**
     * Return a select for each vendor: in $sql, `%s` stands for the marks of the vendor's values, and the first
     * binding is its `_id`.
     *
     * @param array<int, list<int|string>> $values by the vendor's `_id`
     *
     * @return list<array{string, list<mixed>}>
     */
    public static function byVendor(string $sql, array $values): array
    {
        $selects = [];
        foreach ($values as $vendorId => $some) {
            $some = array_values(array_unique($some));
            $selects[] = [sprintf($sql, Database::marks($some)), [$vendorId, ...$some]];
        }

        return $selects;
    }
}
