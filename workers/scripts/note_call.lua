-- Counts one call to a payment provider, and forgets what is older than a minute.
--
-- KEYS  1 calls of the provider
-- ARGV  1 'answered' or 'failed'   2 length of a slot, ms
-- Returns  nothing
-- Cost  O(1); with the first call of a slot O(slots of a minute)

local KEEP_MS = 60000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local slot = now - now % tonumber(ARGV[2])
if redis.call('HINCRBY', KEYS[1], string.format('%.0f:%s', slot, ARGV[1]), 1) == 1 then
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    if tonumber(string.match(field, '^%d+')) < now - KEEP_MS then redis.call('HDEL', KEYS[1], field) end
  end
end
redis.call('PEXPIRE', KEYS[1], KEEP_MS)
return false
