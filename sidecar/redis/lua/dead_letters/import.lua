-- Import exported dead letters. They count as new arrivals.
--
-- States of updates (sidecar/inbox/update_states.py): none -> dead, dead -> none
-- States of effects (sidecar/effects/effect_states.py): none -> dead, dead -> none
--
-- KEYS[1..5] the vendor's dead letters (dead_letters.lua)
-- KEYS[6]  vendors  set: vendors with counters
-- ARGV[1]  the vendor
-- ARGV[2]  updates or effects: the kind of letters, and the counter of what came in
-- ARGV[3]  now, unix ms: when they are given up
-- ARGV[4..6] the bounds: how many, how many bytes, and given up since when
-- ARGV[7..] for each letter its id, and the letter
--
-- Returns how many were imported: those that were not there.

-- include dead_letters/dead_letters.lua

local of = vendors_letters({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1]}, 1)
local kind, now, imported = ARGV[2], tonumber(ARGV[3]), 0
for index = 7, #ARGV, 2 do
  if redis.call("HEXISTS", of.letters, ARGV[index]) == 0 then
    put_letter(of, kind, ARGV[index], ARGV[index + 1], now)
    imported = imported + 1
  end
end
redis.call("HINCRBY", of.counters, kind, imported)
redis.call("SADD", KEYS[6], ARGV[1])
keep_to_bounds(of, tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), now)
return imported
