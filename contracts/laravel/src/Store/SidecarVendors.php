<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

use Illuminate\Contracts\Container\Container;
use InvalidArgumentException;
use WhatsappSidecar\Laravel\Support\Setting;

/**
 * Which vendors are the sidecar's, as config('whatsapp-sidecar.vendors') says, or another setting of its kind. It
 * holds where no modes are kept for a vendor.
 */
final class SidecarVendors
{
    public function __construct(
        private Container $container,
        private mixed $value,
        private string $name
    ) {
    }

    /** @return list<string>|null the uids; null if every vendor is the sidecar's */
    public function only(): ?array
    {
        $value = $this->value();

        return is_array($value) ? array_values($value) : null;
    }

    /** @return 'all'|list<string> */
    private function value(): string|array
    {
        $value = $this->value;
        if (is_string($value) && class_exists($value)) {
            $value = $this->container->call([$this->container->make($value), '__invoke']);
        } elseif ($value instanceof \Closure) {
            $value = $value();
        }
        if ($value === 'all' || is_array($value)) {
            return $value;
        }
        if ($value === null || $value === '' || $value === 'none') {
            return [];
        }
        if (! is_string($value)) {
            throw new InvalidArgumentException("{$this->name}: must be \"all\", \"none\", or a list of uids");
        }

        return Setting::list($value);
    }
}
