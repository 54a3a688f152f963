-- Lay the next block of numbers ready. A block that is not above all known ones is refused: numbers only grow.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  1 token of the controller   2 first number   3 last number
-- Returns  'laid', or 'not_needed' (one lies ready), 'stale', 'not_leader', 'unconfirmed'
-- Cost  O(1)

if redis.call('GET', KEYS[14]) ~= ARGV[1] then return 'not_leader' end
local room = read_room()
if not room then return 'unconfirmed' end
if redis.call('HEXISTS', ROOM, 'spare_first') == 1 then return 'not_needed' end
if tonumber(ARGV[2]) <= room.last_number then return 'stale' end
redis.call('HSET', ROOM, 'spare_first', ARGV[2], 'spare_last', ARGV[3])
return 'laid'
