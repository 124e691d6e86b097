-- Count an error of a campaign, and halt the campaign when it has come so many times in a row.
--
-- States of campaigns (contracts/campaigns.py): running -> paused
--
-- KEYS[1]  errors:{campaign}:{path}    string: a code and how often it came in a row, with a blank
-- KEYS[2]  halt:{campaign}             string: the campaign is paused or cancelled (sidecar/sending/halts.py)
-- KEYS[3]  campaigns                   hash: campaigns that a worker looks after -> vendor
-- KEYS[4]  lifted:campaign:{campaign}  string: when a person had it tried again, unix ms
-- ARGV[1]  the code
-- ARGV[2]  how often it has come now, in a row
-- ARGV[3]  at how many in a row the campaign is halted
-- ARGV[4]  when it came, unix ms
-- ARGV[5]  the halt
-- ARGV[6]  the campaign
-- ARGV[7]  its vendor
-- ARGV[8]  how long the count is kept, ms
--
-- Returns 1 if that halts the campaign, or would if it were not halted. Else 0; also if a person has
-- had the campaign tried again since.

if tonumber(ARGV[4]) <= tonumber(redis.call("GET", KEYS[4]) or 0) then
  return 0
end
local code, times = string.match(redis.call("GET", KEYS[1]) or "", "^(%S+) (%d+)$")
times = tonumber(ARGV[2]) + (code == ARGV[1] and tonumber(times) or 0)
if times < tonumber(ARGV[3]) then
  redis.call("SET", KEYS[1], ARGV[1] .. " " .. times, "PX", ARGV[8])
  return 0
end
redis.call("DEL", KEYS[1])
redis.call("SET", KEYS[2], ARGV[5], "NX")
redis.call("HSET", KEYS[3], ARGV[6], ARGV[7])
return 1
