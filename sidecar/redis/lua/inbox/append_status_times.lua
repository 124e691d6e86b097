-- Included in other scripts: sidecar/redis/client.py replaces their "include" line with it.
-- Append records of when statuses were set to a bucket (sidecar/inbox/status_times.py). One that
-- has become too long keeps its newer half. The words, from ARGV[first] on:
--
-- 1  status:times:{bucket}  string: records of one length, the newest last
-- 2  records
-- 3  how many bytes a bucket may have: an even number of records
-- 4  for how many seconds it is kept

local function append_status_times(words, first)
  local bucket, most = words[first], tonumber(words[first + 2])
  if redis.call("APPEND", bucket, words[first + 1]) > most then
    redis.call("SET", bucket, redis.call("GETRANGE", bucket, -most / 2, -1))
  end
  redis.call("EXPIRE", bucket, words[first + 3])
end
