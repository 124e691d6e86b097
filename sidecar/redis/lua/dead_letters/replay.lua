-- Replay a dead letter: it is due now, behind whatever waits under its order key.
--
-- States of updates (sidecar/inbox/update_states.py): dead -> waiting
--
-- KEYS[1..5] the vendor's dead letters (dead_letters.lua)
-- KEYS[6]  deferred:{lane}              sorted set: order keys by when they are due
-- KEYS[7]  deferred:{lane}:{order key}  list: updates that wait
-- ARGV[1]  the vendor
-- ARGV[2]  id
-- ARGV[3]  the update as it is to be retried
-- ARGV[4]  order key
-- ARGV[5]  now, unix ms
-- ARGV[6..8] the counters of updates that wait in this lane, of their bytes, and of all bytes stored
--
-- Returns 1, or 0 if there is no such letter (any more): a letter is replayed once.

-- include dead_letters/dead_letters.lua

local of = vendors_letters({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1]}, 1)
if not take_letter(of, "updates", ARGV[2]) then
  return 0
end
redis.call("HINCRBY", of.counters, COUNTER.updates, -1)
redis.call("HINCRBY", of.counters, ARGV[6], 1)
redis.call("HINCRBY", of.counters, ARGV[7], #ARGV[3])
redis.call("HINCRBY", of.counters, ARGV[8], #ARGV[3])
redis.call("RPUSH", KEYS[7], ARGV[3])
redis.call("ZADD", KEYS[6], "NX", ARGV[5], ARGV[4])
return 1
