-- Confirm the store for this run of the server: from here on it may be joined, called and claimed.
--
-- The leader does so after settings, stock, lane mark and, after a loss, the served were laid from the database (relay.lua).
-- Whatever the store still knows stays; it gets a new id and a fresh block of numbers, above all that were ever given.
-- After a loss places are not shown until everybody has had the time to come back, turns go on above all that may have been given,
-- and for one pass life and 30 s so many slots count as taken as the rate allowed while nobody kept count: in an emptied store
-- since the log was last copied whole; in one that came back with its data while it may have failed to write, or not at all.
--
-- KEYS  1–14 as in _shared.lua
-- ARGV  1 token of the controller   2 new store id   3 first number   4 last number of the block
--       5 after a loss '1', else '0'   6 turns that may have been given before   7 unix ms until when the call log is whole, 0 for never
--       8 when the log could not be read '1', else '0'   9 time until everybody is back, ms
--       10 what the books know of a draw: 'lobby', 'opened', 'listed', or '' in a FIFO sale   11 when it was opened, unix ms, or 0
--       12 length of its list, or 0
-- Returns  'confirmed' (also when it was before, then nothing changes), or 'not_leader', 'unpublished', 'stale'
-- Cost  O(1)

local GRACE_MS = 30000
-- What a store that writes to disk every second may have failed to write when it ends at once.
local UNWRITTEN_MS = 2000

if redis.call('GET', KEYS[14]) ~= ARGV[1] then return 'not_leader' end
if read_room() then return 'confirmed' end
local settings = read_settings()
if not settings or not numbers(STOCK, {'allotted', 'held', 'sold'}) then return 'unpublished' end
local first = tonumber(ARGV[3])
local known = redis.call('HMGET', ROOM, 'last_number', 'spare_last')
for at = 1, 2 do
  if known[at] and first <= tonumber(known[at]) then return 'stale' end
end

for _, name in ipairs(ROOM_NAMES) do redis.call('HSETNX', ROOM, name, '0') end
redis.call('HDEL', ROOM, 'spare_first', 'spare_last')
redis.call('HSET', ROOM, 'next_number', ARGV[3], 'last_number', ARGV[4], 'turns_before', ARGV[6])

-- From when to when calls may have been made of which neither the log nor the store tells (unix ms).
-- A store whose last tick is about as late as the copied log has its data; if the lead was given up after that tick, it has all.
local function unknown_span(now)
  local copied = tonumber(ARGV[7])
  local ticked, rested = unpack(redis.call('HMGET', ROOM, 'wall_ms', 'rested_ms'))
  ticked = tonumber(ticked)
  if copied == 0 or ticked + UNWRITTEN_MS < copied then return copied, now end
  if tonumber(rested or '') == ticked then return now, now end
  local since = math.max(copied, ticked)
  return since, math.min(now, since + UNWRITTEN_MS)
end

-- How many may have been called in that time: only while the sale was open.
local function unknown_slots(now)
  local since, till = unknown_span(now)
  local span = math.max(0, math.min(till, settings.closes_at_ms) - math.max(since, settings.opens_at_ms))
  return math.ceil(settings.calls_per_minute * span / 60000)
end

if ARGV[5] == '1' then
  local now = wall_ms()
  local room = numbers(ROOM, {'clock_ms', 'unknown_slots', 'unknown_until_ms'})
  local slots, until_ms = unknown_slots(now), room.clock_ms + settings.pass_ms + GRACE_MS
  local quiet_ms = ARGV[8] == '1' and until_ms or 0
  if room.clock_ms < room.unknown_until_ms then  -- what an earlier loss has left unknown still counts
    if slots == 0 then until_ms = room.unknown_until_ms end
    slots = slots + room.unknown_slots
  end
  redis.call('HSET', ROOM, 'lost_ms', whole(now), 'settled_ms', whole(now + tonumber(ARGV[9])),
    'unknown_slots', whole(math.min(settings.capacity, slots)), 'unknown_until_ms', whole(until_ms),
    'quiet_until_ms', whole(quiet_ms))
end
-- A draw goes on from what the books or the store know, whichever is later; who was in a lobby that was lost comes back first.
local function stage_of_draw(known)
  if ARGV[10] == 'listed' then return known == 'drawn' and 'drawn' or 'listed' end
  if ARGV[10] == 'opened' or (known and known ~= 'lobby') then return 'gathering' end
  return 'lobby'
end

if ARGV[10] ~= '' then
  redis.call('HSET', ROOM, 'draw', stage_of_draw(redis.call('HGET', ROOM, 'draw')))
  if ARGV[11] ~= '0' then redis.call('HSET', ROOM, 'opened_ms', ARGV[11]) end
  if ARGV[10] == 'listed' then redis.call('HSET', ROOM, 'lobby_size', ARGV[12]) end
end
redis.call('HSET', ROOM, 'store_id', ARGV[2], 'run_id', run_id())
return 'confirmed'
