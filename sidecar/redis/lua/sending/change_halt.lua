#!lua flags=allow-oom
-- Take a campaign's halt away, or note that PHP knows it; unless it is another one by now.
--
-- States of campaigns (contracts/campaigns.py): paused -> running, cancelled -> running,
--   paused -> cancelled
--
-- KEYS[1]  halt:{campaign}
-- ARGV[1]  the halt as it was found
-- ARGV[2]  what it becomes, or "" to take it away
-- ARGV[3]  how long that is kept, in seconds
--
-- Returns 1 if it was changed, or 0.

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == "" then
  return redis.call("DEL", KEYS[1])
end
redis.call("SET", KEYS[1], ARGV[2], "EX", ARGV[3])
return 1
