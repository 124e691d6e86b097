-- Take a dead letter back to life: it is due now, behind whatever waits under its order key.
--
-- KEYS[1]  dead                         hash: id -> letter
-- KEYS[2]  dead:index                   sorted set: ids by when they were given up
-- KEYS[3]  deferred:{lane}              sorted set: order keys by when they are due
-- KEYS[4]  deferred:{lane}:{order key}  list: updates that wait
-- KEYS[5]  count:{vendor}               hash: counters
-- ARGV[1]  id
-- ARGV[2]  the update, as it is to be tried
-- ARGV[3]  order key
-- ARGV[4]  now, unix ms
--
-- Returns 1, or 0 if there is no such letter (any more): a letter is replayed once.

if redis.call("HDEL", KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call("ZREM", KEYS[2], ARGV[1])
redis.call("RPUSH", KEYS[4], ARGV[2])
redis.call("ZADD", KEYS[3], "NX", ARGV[4], ARGV[3])
redis.call("HINCRBY", KEYS[5], "dead", -1)
return 1
