#!lua flags=allow-oom
-- Add to the metrics of all processes, and send this one's heartbeat.
-- Allowed when Redis is full: somebody will want to know why, and it takes next to no memory.
--
-- KEYS[1]  metrics       hash: series -> number
-- KEYS[2]  processes     set: ids
-- KEYS[3]  process:{id}  string, expires: the process's heartbeat
-- KEYS[4]  published:{id} string, expires: the number of what it added last
-- ARGV[1]  the process's id
-- ARGV[2]  its heartbeat, or "" if none is due
-- ARGV[3]  how long that is kept, in milliseconds
-- ARGV[4]  the number of this; the same as the last one's where its answer was lost
-- ARGV[5..] pairs of a series and what is to be added to it

if #ARGV > 4 and redis.call("GET", KEYS[4]) ~= ARGV[4] then
  for index = 5, #ARGV, 2 do
    redis.call("HINCRBYFLOAT", KEYS[1], ARGV[index], ARGV[index + 1])
  end
  redis.call("SET", KEYS[4], ARGV[4], "PX", ARGV[3])
end
if ARGV[2] ~= "" then
  redis.call("SADD", KEYS[2], ARGV[1])
  redis.call("SET", KEYS[3], ARGV[2], "PX", ARGV[3])
end
return 1
