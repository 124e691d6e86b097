#!lua flags=allow-oom
-- Add to the metrics of all processes, and send this one's heartbeat.
-- Allowed when Redis is full: somebody will want to know why, and it takes next to no memory.
--
-- KEYS[1]  metrics       hash: series -> number
-- KEYS[2]  processes     set: ids
-- KEYS[3]  process:{id}  string, expires: the process's heartbeat
-- ARGV[1]  the process's id
-- ARGV[2]  its heartbeat, or "" if none is due
-- ARGV[3]  how long that is kept, in milliseconds
-- ARGV[4..] pairs of a series and what is to be added to it

for index = 4, #ARGV, 2 do
  redis.call("HINCRBYFLOAT", KEYS[1], ARGV[index], ARGV[index + 1])
end
if ARGV[2] ~= "" then
  redis.call("SADD", KEYS[2], ARGV[1])
  redis.call("SET", KEYS[3], ARGV[2], "PX", ARGV[3])
end
return 1
