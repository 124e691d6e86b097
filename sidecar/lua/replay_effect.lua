-- Take a dead effect back to life: it is due now.
--
-- KEYS[1]  dead                     hash: id -> letter
-- KEYS[2]  dead:index               sorted set: ids by when they were given up (unix ms)
-- KEYS[3]  outbox:{kind}            set: vendors with something in it
-- KEYS[4]  outbox:{kind}:{vendor}   sorted set: ids by when they are due (unix ms)
-- KEYS[5]  effects:{kind}:{vendor}  hash: id -> effect
-- KEYS[6]  count:{vendor}           hash: counters
-- ARGV[1]  the letter's id
-- ARGV[2]  the effect's id
-- ARGV[3]  the effect, as it is to be tried
-- ARGV[4]  the vendor
-- ARGV[5]  now, unix ms
--
-- Returns 1, or 0 if there is no such letter (any more): a letter is replayed once.

if redis.call("HDEL", KEYS[1], ARGV[1]) == 0 then
  return 0
end
redis.call("ZREM", KEYS[2], ARGV[1])
redis.call("HSET", KEYS[5], ARGV[2], ARGV[3])
redis.call("ZADD", KEYS[4], ARGV[5], ARGV[2])
redis.call("SADD", KEYS[3], ARGV[4])
redis.call("HINCRBY", KEYS[6], "effects_dead", -1)
return 1
