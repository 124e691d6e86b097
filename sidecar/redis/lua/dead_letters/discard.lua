-- Delete dead letters for good, because a person says so.
--
-- States of updates (sidecar/inbox/update_states.py): dead -> none
-- States of effects (sidecar/effects/effect_states.py): dead -> none
--
-- KEYS[1..5] the vendor's dead letters (dead_letters.lua)
-- ARGV[1]  the vendor
-- ARGV[2]  updates or effects
-- ARGV[3..] ids
--
-- Returns how many were there.

-- include dead_letters/dead_letters.lua

local of = vendors_letters({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1]}, 1)
local discarded = 0
for index = 3, #ARGV do
  if take_letter(of, ARGV[2], ARGV[index]) then
    discarded = discarded + 1
  end
end
if discarded > 0 then
  redis.call("HINCRBY", of.counters, COUNTER[ARGV[2]] .. "_discarded", discarded)
end
return discarded
