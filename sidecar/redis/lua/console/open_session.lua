#!lua flags=allow-oom
-- Sign somebody in to the console, and forget sessions that have ended.
-- Allowed when Redis is full: somebody will want to see why, and it takes next to no memory.
--
-- KEYS[1]  console:session:{session}  string, expires: who it is
-- KEYS[2]  console:sessions           sorted set: sessions by when they end at the latest
-- ARGV[1]  the session's name
-- ARGV[2]  who it is, as JSON
-- ARGV[3]  when it ends at the latest, unix ms
-- ARGV[4]  after how many seconds without use it ends
-- ARGV[5]  the time, unix ms

redis.call("ZREMRANGEBYSCORE", KEYS[2], 0, ARGV[5])
redis.call("ZADD", KEYS[2], ARGV[3], ARGV[1])
redis.call("SET", KEYS[1], ARGV[2], "EX", ARGV[4])
return 1
