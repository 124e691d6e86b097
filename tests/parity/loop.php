<?php

/*
 * Runs the package's LoopMatcher: a line of JSON in, a line of JSON out.
 *
 * First it says how this PHP matches (MatchingRules). Then, for each {vendor, messages: [[text in
 * base64, unix seconds], ...]}: {matches: [BotMatch list, ...], ns: what matching has taken}.
 */

declare(strict_types=1);

use WhatsappSidecar\Laravel\Bots\LoopMatcher;
use WhatsappSidecar\Laravel\Bots\MatchingRules;

error_reporting(E_ALL & ~E_DEPRECATED);
require 'Illuminate/autoload.php';
foreach (['BotHours', 'LoopMatcher', 'MatchingRules'] as $class) {
    require __DIR__ . "/../../contracts/laravel/src/Bots/$class.php";
}

$say = static function (array $answer): void {
    echo json_encode($answer, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE), "\n";
    flush();
};
$matcher = new LoopMatcher();
$say(MatchingRules::probe());
while (($line = fgets(STDIN)) !== false) {
    $question = json_decode($line, true, 16, JSON_THROW_ON_ERROR);
    $matches = [];
    $started = hrtime(true);
    foreach ($question['messages'] as [$message, $at]) {
        $matches[] = $matcher->match($question['vendor'], base64_decode($message, true), $at);
    }
    $say(['matches' => $matches, 'ns' => hrtime(true) - $started]);
}
