-- Give the lead up, so that a controller that stands by need not wait for the lease to end.
--
-- Notes the last tick, so that a store which is stopped after its leaders is known to miss no call when it comes back.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  1 token of the controller
-- Returns  'released' or 'not_leader'
-- Cost  O(1)

if redis.call('GET', KEYS[14]) ~= ARGV[1] then return 'not_leader' end
redis.call('DEL', KEYS[14])
local ticked = redis.call('HGET', ROOM, 'wall_ms')
if ticked then redis.call('HSET', ROOM, 'rested_ms', ticked) end
return 'released'
