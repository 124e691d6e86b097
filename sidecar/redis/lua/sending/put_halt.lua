#!lua flags=allow-oom
-- Halt a campaign, and have a worker see to it that PHP is told.
-- Allowed when Redis is full: it stops what would fill it more, and takes next to no memory.
--
-- States of campaigns (contracts/campaigns.py): running -> paused, running -> cancelled,
--   paused -> paused, paused -> cancelled, cancelled -> cancelled
--
-- KEYS[1]  halt:{campaign}  string: the halt that stands (sidecar/sending/halts.py)
-- KEYS[2]  campaigns        hash: campaigns that a worker looks after -> vendor
-- ARGV[1]  the halt
-- ARGV[2]  its state: paused or cancelled
-- ARGV[3]  the campaign
-- ARGV[4]  its vendor
--
-- Returns 1; 0 if the campaign was cancelled and PHP does not know yet: it is not paused then.

local standing = redis.call("GET", KEYS[1])
if standing and ARGV[2] == "paused" then
  local halt = cjson.decode(standing)
  if halt.state == "cancelled" and halt.acknowledged_at == cjson.null then
    return 0
  end
end
redis.call("SET", KEYS[1], ARGV[1])
redis.call("HSET", KEYS[2], ARGV[3], ARGV[4])
return 1
