-- Join the line, or come back to one's place: idempotent, and the only giver of numbers.
--
-- KEYS  1–18 as in _shared.lua, and last: joins of this minute by network, mark of the spent proof, pause of the network
-- ARGV  1 ticket id   2, 3 number and store id of the ticket that was shown, 0 and '' without one   4 place in a lobby, '' in a FIFO sale
--       5 tag of the network, '' for one that is not counted   6 places a minute that it may have without a proof
--       7 life of the proof, ms, 0 without one   8 time between two that come in by a pause, ms, 0 for another proof
-- Returns  the sight of the ticket (JSON), with `created` for a new number and `rejoined` for a missed turn's return, or
--          'too_early', 'line_closed', 'sold_out', 'challenge_required', 'proof_spent', 'pause_too_soon', 'no_numbers',
--          'unconfirmed', 'unpublished'; these use up no number and no proof.
-- Cost  O(log line); about 17 commands.

local ticket = ARGV[1]
local sale, fault = read_sale()
if not sale then return fault end
local room, phase = sale.room, sale.phase
take_back(sale, ticket, ARGV[2], ARGV[3], ARGV[4])

local function answer(mark)
  local seen = sight(sale, ticket)
  if seen.state == 'called' then redis.call('ZREM', UNSEEN, ticket) end
  if mark then seen[mark] = true end
  return cjson.encode(seen)
end

if redis.call('ZSCORE', LINE, ticket) then return answer() end
local record = record_of(ticket)
local state = record and record.state

if state == 'called' or state == 'admitted' or (state == 'done' and record.outcome == 'paid') then return answer() end

if state == 'missed' then
  if phase == 'closed' or phase == 'cancelled' then return answer() end
  redis.call('ZREM', MISSED, ticket)
  redis.call('ZADD', LINE, exact(record.number), ticket)
  record.state = 'waiting'
  keep(ticket, record)
  log(sale, 'return', ticket, record)
  return answer('rejoined')
end

if phase == 'announced' then return 'too_early' end
if words('draft', 'draining', 'closed', 'cancelled')[phase] or sale.settings.control == 'draining' then
  return 'line_closed'
end
if sale.stock.sold >= sale.stock.allotted then return 'sold_out' end

local JOINS, SPENT, PAUSED = KEYS[#KEYS - 2], KEYS[#KEYS - 1], KEYS[#KEYS]
local network, proof_ms, pause_ms = ARGV[5], tonumber(ARGV[7]), tonumber(ARGV[8])

-- A new place costs a proof where the sale asks everybody, or where many have come from the same network.
local function costs_a_proof()
  if redis.call('HGET', SETTINGS, 'challenge') == '1' then return true end
  return network ~= '' and tonumber(redis.call('HGET', JOINS, network) or '0') >= tonumber(ARGV[6])
end

local spends = costs_a_proof()
if spends then
  if proof_ms <= 0 then return 'challenge_required' end
  if redis.call('EXISTS', SPENT) == 1 then return 'proof_spent' end
  if pause_ms > 0 and redis.call('EXISTS', PAUSED) == 1 then return 'pause_too_soon' end
end

-- Counts inside the block that the database gave; the one after it lies ready when the leader was in time.
local function next_number()
  if room.next_number > room.last_number then
    local spare = redis.call('HMGET', ROOM, 'spare_first', 'spare_last')
    if not spare[1] then return nil end
    room.next_number, room.last_number = tonumber(spare[1]), tonumber(spare[2])
    redis.call('HSET', ROOM, 'last_number', spare[2])
    redis.call('HDEL', ROOM, 'spare_first', 'spare_last')
  end
  redis.call('HSET', ROOM, 'next_number', whole(room.next_number + 1))
  return room.next_number
end

-- This step alone decides between the lobby of a draw and what comes after: the opening is a write of the same store.
local place
if room.draw == 'lobby' then
  place = tonumber(ARGV[4])
  if not place then return 'unpublished' end
else
  local count = next_number()
  if not count then return 'no_numbers' end
  place = room.draw == '' and count or arrival_place(room, count)
end
redis.call('ZADD', LINE, exact(place), ticket)
if spends then
  redis.call('SET', SPENT, '1', 'PX', whole(proof_ms))
  if pause_ms > 0 then redis.call('SET', PAUSED, '1', 'PX', whole(pause_ms)) end
end
if network ~= '' and redis.call('HINCRBY', JOINS, network, 1) == 1 then redis.call('EXPIRE', JOINS, 120) end
if record then
  -- Turns go on counting: a pass of an earlier place must never be made again. What has ended stays ended.
  keep(ticket, {state = 'waiting', number = is_hidden(room, place) and 0 or place, turn = record.turn, misses = 0,
    extended = false, ended = record.ended or record.number})
end
return answer('created')
