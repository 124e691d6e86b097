#!lua flags=allow-oom
-- Move dead letters over from where earlier versions kept them, which counted them too.
--
-- States of updates (sidecar/inbox/update_states.py): none -> dead
-- States of effects (sidecar/effects/effect_states.py): none -> dead
--
-- KEYS[1]  dead        hash: id -> letter, of all vendors
-- KEYS[2]  dead:index  sorted set: ids by when they were given up (unix ms)
-- KEYS[3..7] a vendor's dead letters (dead_letters.lua)
-- ARGV[1]  the vendor
-- ARGV[2]  updates or effects
-- ARGV[3..] ids
--
-- Returns how many were moved.

-- include dead_letters/dead_letters.lua

local of = vendors_letters({KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], ARGV[1]}, 1)
local adopted = 0
for index = 3, #ARGV do
  local id = ARGV[index]
  local letter = redis.call("HGET", KEYS[1], id)
  if letter then
    put_letter(of, ARGV[2], id, letter, redis.call("ZSCORE", KEYS[2], id) or 0)
    redis.call("HDEL", KEYS[1], id)
    redis.call("ZREM", KEYS[2], id)
    adopted = adopted + 1
  end
end
redis.call("HINCRBY", of.counters, COUNTER[ARGV[2]], -adopted)
return adopted
