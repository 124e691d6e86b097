#!lua flags=allow-oom
-- Apply the bounds of a vendor's dead letters while none are added.
--
-- States of updates (sidecar/inbox/update_states.py): dead -> none
-- States of effects (sidecar/effects/effect_states.py): dead -> none
--
-- KEYS[1..5] the vendor's dead letters (dead_letters.lua)
-- ARGV[1]  the vendor
-- ARGV[2..4] the bounds: how many, how many bytes, and given up since when
-- ARGV[5]  now, unix ms
--
-- Returns how many were deleted.

-- include dead_letters/dead_letters.lua

local of = vendors_letters({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1]}, 1)
return keep_to_bounds(of, tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
