-- Lay a copy of something from the database, unless the store holds a newer one.
--
-- KEYS  1 the hash that holds the copy
-- ARGV  1 version of the copy   2… field, value, field, value …
-- Returns  1 when laid, 0 when a newer one stands
-- Cost  O(fields); fields that the new copy lacks are gone.

local known = redis.call('HGET', KEYS[1], 'version')
if known and tonumber(known) > tonumber(ARGV[1]) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'version', unpack(ARGV))
return 1
