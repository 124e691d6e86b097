-- Count an error of a campaign that it may be at fault for, and halt the campaign when so many have come
-- in a row. Which errors these are says contracts/cloud_api/errors.py; any of them continues the row.
--
-- States of campaigns (contracts/campaigns.py): running -> paused
--
-- KEYS[1]  errors:{campaign}:{path}    string: how many have come in a row
-- KEYS[2]  halt:{campaign}             string: the campaign is paused or cancelled (sidecar/sending/halts.py)
-- KEYS[3]  campaigns                   hash: campaigns that a worker looks after -> vendor
-- KEYS[4]  lifted:campaign:{campaign}  string: when a person had it tried again, unix ms
-- ARGV[1]  how many have come now, in a row
-- ARGV[2]  at how many in a row the campaign is halted
-- ARGV[3]  when the last of them came, unix ms
-- ARGV[4]  the halt
-- ARGV[5]  the campaign
-- ARGV[6]  its vendor
-- ARGV[7]  how long the count is kept, ms
--
-- Returns 1 if that halts the campaign, and 2 if it was halted already: nothing is counted then. Else 0;
-- also if a person has had the campaign tried again since.

local time = redis.call("TIME")
local lifted = tonumber(redis.call("GET", KEYS[4]) or 0)
-- What lies in the future is of before the clock was set back, and says nothing any more.
if tonumber(ARGV[3]) <= lifted and lifted <= time[1] * 1000 + 1000 then
  return 0
end
if redis.call("EXISTS", KEYS[2]) == 1 then
  return 2
end
-- An older version wrote a code before the number.
local known = string.match(redis.call("GET", KEYS[1]) or "", "(%d+)$")
local times = tonumber(ARGV[1]) + tonumber(known or 0)
if times < tonumber(ARGV[2]) then
  redis.call("SET", KEYS[1], times, "PX", ARGV[7])
  return 0
end
redis.call("DEL", KEYS[1])
redis.call("SET", KEYS[2], ARGV[4])
redis.call("HSET", KEYS[3], ARGV[5], ARGV[6])
return 1
