#!lua flags=allow-oom
-- Write down the rows that a claim has brought, and count them.
-- It is also done when Redis is full: PHP has given the rows out by now.
--
-- KEYS[1]  ledger:{campaign}  hash: row -> state (workers/ledger.py)
-- KEYS[2]  ledgers            hash: campaigns whose ledger is not empty -> vendor
-- KEYS[3]  count:{vendor}     hash: counters
-- KEYS[4]  vendors            set: vendors with counters
-- KEYS[5]  claims:{campaign}  hash: claims of which it is not known what they have brought
-- ARGV[1]  the campaign
-- ARGV[2]  the vendor
-- ARGV[3]  the claim
-- ARGV[4]  how many rows PHP found expired
-- ARGV[5..] rows
--
-- A row that is there under this claim keeps its state. One that is there under another claim was
-- given out anew, so PHP is done with what the other one knew: that has ended.

local ends = {c = "released", s = "unknown"}
local new = 0
for index = 5, #ARGV do
  local row = ARGV[index]
  local state = redis.call("HGET", KEYS[1], row)
  local claim = state and string.match(state, "^.:([^:]*)")
  if claim ~= ARGV[3] then
    if state then
      local ended = ends[string.sub(state, 1, 1)] or string.match(state, "^k:[^:]*:([^:]*)")
      redis.call("HINCRBY", KEYS[3], ended, 1)
    end
    redis.call("HSET", KEYS[1], row, "c:" .. ARGV[3])
    new = new + 1
  end
end
if new > 0 then
  redis.call("HSET", KEYS[2], ARGV[1], ARGV[2])
  redis.call("HINCRBY", KEYS[3], "claimed", new)
  redis.call("SADD", KEYS[4], ARGV[2])
end
if redis.call("HDEL", KEYS[5], ARGV[3]) == 1 and ARGV[4] ~= "0" then
  redis.call("HINCRBY", KEYS[3], "expired", ARGV[4])
  redis.call("SADD", KEYS[4], ARGV[2])
end
return new
