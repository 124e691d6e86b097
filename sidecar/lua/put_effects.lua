#!lua flags=allow-oom
-- Put effects into a vendor's outbox, each id once.
-- It is also done when Redis is full: PHP has decided, and its updates make room when they are
-- settled.
--
-- KEYS[1]  count:{vendor}  hash: counters, stored_bytes among them
-- KEYS[2]  vendors         set: vendors with counters
-- then for each kind  outbox:{kind}           set: vendors with something in it
--                     outbox:{kind}:{vendor}  sorted set: ids by when they are due (unix ms)
--                     effects:{kind}:{vendor} hash: id -> effect (sidecar/outbox.py)
-- ARGV[1]  the vendor
-- ARGV[2]  now, unix ms
-- ARGV[3]  how long an id is remembered, s
-- ARGV[4]  how many effects of a kind may wait before more that may be left out are
-- ARGV[5..] for each effect: which kind (from 0), its id, the effect, and the key that remembers the
--          id, or "" for one that may come twice and may be left out
--
-- Returns how many were taken, how many were known, and how many were left out.

local taken, known, dropped, bytes = 0, 0, 0, 0
for index = 5, #ARGV, 4 do
  local at = 3 + 3 * tonumber(ARGV[index])
  local id, effect, mark = ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
  if mark ~= "" and not redis.call("SET", mark, 1, "NX", "EX", ARGV[3]) then
    known = known + 1
  elseif redis.call("HEXISTS", KEYS[at + 2], id) == 1 then
    known = known + 1
  elseif mark == "" and redis.call("ZCARD", KEYS[at + 1]) >= tonumber(ARGV[4]) then
    dropped = dropped + 1
  else
    redis.call("HSET", KEYS[at + 2], id, effect)
    -- What comes together keeps its order.
    redis.call("ZADD", KEYS[at + 1], ARGV[2] + taken / 1024, id)
    redis.call("SADD", KEYS[at], ARGV[1])
    taken, bytes = taken + 1, bytes + #effect
  end
end
if taken + dropped > 0 then
  redis.call("HINCRBY", KEYS[1], "effects", taken + dropped)
  redis.call("HINCRBY", KEYS[1], "effects_dropped", dropped)
  redis.call("HINCRBY", KEYS[1], "stored_bytes", bytes)
  redis.call("SADD", KEYS[2], ARGV[1])
end
return {taken, known, dropped}
