#!lua flags=allow-oom
-- Write down how effects have ended, or that they are to be tried again; only while the lease is
-- held. It is also done when Redis is full: it makes room.
--
-- KEYS[1]  lease:{name}
-- KEYS[2]  outbox:{kind}            set: vendors with something in it
-- KEYS[3]  outbox:{kind}:{vendor}   sorted set: ids by when they are due (unix ms)
-- KEYS[4]  effects:{kind}:{vendor}  hash: id -> effect
-- KEYS[5]  count:{vendor}           hash: counters
-- KEYS[6]  dead                     hash: id -> letter
-- KEYS[7]  dead:index               sorted set: ids by when they were given up (unix ms)
-- ARGV[1]  the holder's token
-- ARGV[2]  the vendor
-- ARGV[3]  now, unix ms
-- ARGV[4..] for each effect: its id; "again", when it is due, and the effect as it is to be kept; or
--          "done" or "dropped" and two words that do not matter; or "dead", the letter's id, and the
--          letter
--
-- Returns 1, or 0 if the lease is lost; then nothing was done. What has ended before is passed over.

if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
for index = 4, #ARGV, 4 do
  local id, ended, word, value = ARGV[index], ARGV[index + 1], ARGV[index + 2], ARGV[index + 3]
  if ended == "again" then
    if redis.call("HEXISTS", KEYS[4], id) == 1 then
      redis.call("HSET", KEYS[4], id, value)
      redis.call("ZADD", KEYS[3], word, id)
    end
  elseif redis.call("HDEL", KEYS[4], id) == 1 then
    redis.call("ZREM", KEYS[3], id)
    redis.call("HINCRBY", KEYS[5], "effects_" .. ended, 1)
    if ended == "dead" then
      redis.call("HSET", KEYS[6], word, value)
      redis.call("ZADD", KEYS[7], ARGV[3], word)
    end
  end
end
if redis.call("EXISTS", KEYS[3]) == 0 then
  redis.call("SREM", KEYS[2], ARGV[2])
end
return 1
