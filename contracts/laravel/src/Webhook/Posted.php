<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Webhook;

use Illuminate\Http\Request;
use WhatsappSidecar\Laravel\Http\Refused;

/**
 * A webhook that Meta has posted to PHP itself: its body without the encoding in which it was sent. As the
 * sidecar does it.
 */
final class Posted
{
    private const SIGNATURE = '/\Asha256=[0-9a-fA-F]{64}\z/';

    /** A piece of compressed data comes to a thousand times its size at most. */
    private const PIECE_BYTES = 1024;

    private function __construct(public string $body, private string $sent, public string $signature)
    {
    }

    /** @throws Refused if it is too large, or in an encoding that cannot be undone */
    public static function of(Request $request, int $limit): self
    {
        $sent = $request->getContent();
        $signature = (string) $request->headers->get('X-Hub-Signature-256');
        $encoding = strtolower(implode(',', $request->headers->all('Content-Encoding')));
        if (strlen($sent) > $limit) {
            throw Refused::tooLarge($limit);
        }
        $body = match (trim($encoding)) {
            '', 'identity' => $sent,
            'gzip', 'x-gzip' => self::unpacked($sent, $limit),
            default => throw new Refused('encoding_unsupported', 'send it plain, or with gzip', 415),
        };

        return new self($body, $sent, preg_match(self::SIGNATURE, $signature) === 1 ? strtolower($signature) : '');
    }

    /**
     * Tell whether one of the secrets has made the signature: over the body, or over the bytes as they
     * were sent. That one becomes the body's, so that it is right for whoever checks it next.
     *
     * @param list<string> $secrets
     */
    public function isSigned(array $secrets): bool
    {
        foreach ($secrets as $secret) {
            if ($this->signature === '' || $secret === '') {
                continue;
            }
            $own = 'sha256=' . hash_hmac('sha256', $this->body, $secret);
            if (
                hash_equals($own, $this->signature)
                || hash_equals('sha256=' . hash_hmac('sha256', $this->sent, $secret), $this->signature)
            ) {
                $this->signature = $own;

                return true;
            }
        }

        return false;
    }

    /** Never makes much more than the limit. */
    private static function unpacked(string $sent, int $limit): string
    {
        $context = inflate_init(ZLIB_ENCODING_GZIP);
        $body = '';
        foreach (str_split($sent, self::PIECE_BYTES) as $piece) {
            $more = @inflate_add($context, $piece);
            if ($more === false) {
                throw self::broken();
            }
            $body .= $more;
            if (strlen($body) > $limit) {
                throw Refused::tooLarge($limit);
            }
        }
        $whole = inflate_get_status($context) === ZLIB_STREAM_END && inflate_get_read_len($context) === strlen($sent);

        return $whole ? $body : throw self::broken();
    }

    private static function broken(): Refused
    {
        return new Refused('gzip_broken', 'it cannot be decompressed', 400);
    }
}
