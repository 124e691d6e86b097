<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Store;

/** A contact as the call found or made it. */
final class Contact
{
    /** @param string|null $waId null for one who hides the number, to whom nothing can be sent */
    public function __construct(
        public int $id,
        public string $uid,
        public ?string $waId,
        public bool $disableReplyBot = false,
        public bool $disableAiBot = false
    ) {
    }
}
