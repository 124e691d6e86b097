<?php

declare(strict_types=1);

use Illuminate\Contracts\Cache\Store;

// The driver "failover", where Laravel has none yet: it writes to the first store that works.
$isThere = class_exists('Illuminate\Cache\FailoverStore');
$isThere || app('cache')->extend('failover', fn ($app, array $config) => app('cache')
    ->repository(new class ($config['stores']) implements Store {
        /** @param list<string> $names */
        public function __construct(private array $names)
        {
        }

        private function first(string $method, mixed ...$arguments): mixed
        {
            $last = null;
            foreach ($this->names as $name) {
                try {
                    return app('cache')->store($name)->{$method}(...$arguments);
                } catch (Throwable $error) {
                    $last = $error;
                }
            }
            throw $last;
        }

        public function get($key)
        {
            return $this->first('get', $key);
        }

        public function many(array $keys)
        {
            return $this->first('many', $keys);
        }

        public function put($key, $value, $seconds)
        {
            return $this->first('put', $key, $value, $seconds);
        }

        public function putMany(array $values, $seconds)
        {
            return $this->first('putMany', $values, $seconds);
        }

        public function add($key, $value, $seconds)
        {
            return $this->first('add', $key, $value, $seconds);
        }

        public function increment($key, $value = 1)
        {
            return $this->first('increment', $key, $value);
        }

        public function decrement($key, $value = 1)
        {
            return $this->first('decrement', $key, $value);
        }

        public function forever($key, $value)
        {
            return $this->first('forever', $key, $value);
        }

        public function forget($key)
        {
            return $this->first('forget', $key);
        }

        public function flush()
        {
            return $this->first('flush');
        }

        public function getPrefix()
        {
            return $this->first('getPrefix');
        }
    }));
