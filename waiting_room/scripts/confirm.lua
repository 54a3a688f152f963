-- Confirm the store for this run of the server: from here on it may be joined, called and claimed.
--
-- The leader does so after settings, stock and lane mark were laid from the database. Whatever the store still knows stays; it
-- gets a new id and a fresh block of numbers, above all that were ever given. Turns are counted from that block on too, so that
-- no store makes a pass that a lost one has made: a ticket's first turn says nothing of turns that were forgotten.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  1 token of the controller   2 new store id   3 first number   4 last number of the block
-- Returns  'confirmed' (also when it was before, then nothing changes), or 'not_leader', 'unpublished', 'stale'
-- Cost  O(1)

if redis.call('GET', KEYS[14]) ~= ARGV[1] then return 'not_leader' end
if read_room() then return 'confirmed' end
if not read_settings() or not numbers(STOCK, {'allotted', 'held', 'sold'}) then return 'unpublished' end
local first = tonumber(ARGV[3])
local known = redis.call('HMGET', ROOM, 'last_number', 'spare_last')
for at = 1, 2 do
  if known[at] and first <= tonumber(known[at]) then return 'stale' end
end

for _, name in ipairs(ROOM_NAMES) do redis.call('HSETNX', ROOM, name, '0') end
redis.call('HDEL', ROOM, 'spare_first', 'spare_last')
redis.call('HSET', ROOM, 'next_number', ARGV[3], 'last_number', ARGV[4], 'turn_base', whole(first - 1),
  'store_id', ARGV[2], 'run_id', run_id())
return 'confirmed'
