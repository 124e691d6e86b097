-- Replay a dead effect: it is due now.
--
-- States of effects (sidecar/effects/effect_states.py): dead -> waiting
--
-- KEYS[1..5] the vendor's dead letters (dead_letters.lua)
-- KEYS[6]  outbox:{kind}            set: vendors with something in it
-- KEYS[7]  outbox:{kind}:{vendor}   sorted set: ids by when they are due (unix ms)
-- KEYS[8]  effects:{kind}:{vendor}  hash: id -> effect
-- ARGV[1]  the vendor
-- ARGV[2]  the letter's id
-- ARGV[3]  the effect's id
-- ARGV[4]  the effect as it is to be retried
-- ARGV[5]  now, unix ms
--
-- Returns 1, or 0 if there is no such letter (any more): a letter is replayed once. -1 if an effect
-- with this id waits already: it would be overwritten.

-- include dead_letters/dead_letters.lua

local of = vendors_letters({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1]}, 1)
if redis.call("HEXISTS", KEYS[8], ARGV[3]) == 1 then
  return -1
end
if not take_letter(of, "effects", ARGV[2]) then
  return 0
end
redis.call("HINCRBY", of.counters, COUNTER.effects, -1)
redis.call("HINCRBY", of.counters, "stored_bytes", #ARGV[4])
redis.call("HSET", KEYS[8], ARGV[3], ARGV[4])
redis.call("ZADD", KEYS[7], ARGV[5], ARGV[3])
redis.call("SADD", KEYS[6], ARGV[1])
return 1
