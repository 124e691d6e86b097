<?php

declare(strict_types=1);

namespace WhatsappSidecar\Laravel\Engine;

use Closure;
use LogicException;
use WhatsappSidecar\Laravel\Http\Answer;
use WhatsappSidecar\Laravel\Webhook\Outcome;

/**
 * A routine that ends the request by exit() has done its work, as it has where it answers Meta itself. What
 * is in the request beside its update comes again, until the update is alone in one; that is answered.
 *
 * PHP calls what is to be done at the end of the process, whichever container this was made in.
 */
final class RoutineExit
{
    private const FATAL = [E_ERROR, E_PARSE, E_CORE_ERROR, E_COMPILE_ERROR];

    /** @var (Closure(Outcome): void)|null */
    private static ?Closure $answer = null;

    /** @var (Closure(): Outcome)|null */
    private static ?Closure $finish = null;

    private static bool $isWatching = false;

    /** @param (Closure(Outcome): void)|null $answer sends the answer of this request; null if it holds several updates */
    public function answerBy(?Closure $answer): void
    {
        self::$answer = $answer;
    }

    /**
     * Call the routine.
     *
     * @param Closure(): Outcome $routine
     * @param Closure(): Outcome $finish what follows if it exits
     */
    public function around(Closure $routine, Closure $finish): Outcome
    {
        if (! self::$isWatching) {
            self::$isWatching = true;
            register_shutdown_function(static fn () => self::ended());
        }
        self::$finish = $finish;
        try {
            return $routine();
        } finally {
            // exit() comes by no finally.
            self::$finish = null;
        }
    }

    private static function ended(): void
    {
        $finish = self::$finish;
        if ($finish === null || in_array(error_get_last()['type'] ?? null, self::FATAL, true)) {
            return;
        }
        self::$finish = null;
        while (ob_get_level() > 0) {
            ob_end_clean();
        }
        if (self::$answer === null) {
            Answer::error('internal_error', 'the webhook routine has ended the request', 500)->send();
        } else {
            report(new LogicException('the webhook routine calls exit(); each of its updates needs a request then'));
            (self::$answer)($finish());
        }
    }
}
