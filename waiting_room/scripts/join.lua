-- Join the line, or come back to one's place: idempotent, and the only giver of numbers. Serves one buyer or several.
--
-- KEYS  1–18 as in _shared.lua, and three for each buyer: joins of this minute by network, mark of the spent proof, pause of the network
-- ARGV  eight for each buyer:
--       1 ticket id   2, 3 number and store id of the ticket that was shown, 0 and '' without one   4 place in a lobby, '' in a FIFO sale
--       5 tag of the network, '' for one that is not counted   6 places a minute that it may have without a proof
--       7 life of the proof, ms, 0 without one   8 time between two that come in by a pause, ms, 0 for another proof
-- Returns  'unconfirmed', 'unpublished', or a list as serve_all's (_shared.lua): with `created` for a new number and `rejoined` for a
--          missed turn's return, and with the words 'too_early', 'line_closed', 'sold_out', 'challenge_required', 'proof_spent',
--          'pause_too_soon', 'no_numbers', 'unpublished'; these use up no proof and no number, a fault may use up both.
-- Cost  O(log line) for each buyer; about 11 commands, and 6 for each buyer.

local FIELDS, DOORS, FIRST_DOOR = 8, 3, 19

local sale, fault = read_sale()
if not sale then return fault end
local room, phase = sale.room, sale.phase
local asks_everybody = redis.call('HGET', SETTINGS, 'challenge') == '1'
local takes_no_joins = words('draft', 'draining', 'closed', 'cancelled')[phase] or sale.settings.control == 'draining'

-- Counts inside the block that the database gave; the one after it lies ready when the leader was in time.
local function next_number()
  if room.next_number > room.last_number then
    local spare = redis.call('HMGET', ROOM, 'spare_first', 'spare_last')
    if not spare[1] then return nil end
    redis.call('HSET', ROOM, 'next_number', spare[1], 'last_number', spare[2])
    redis.call('HDEL', ROOM, 'spare_first', 'spare_last')
    room.next_number, room.last_number = tonumber(spare[1]), tonumber(spare[2])
  end
  local number = room.next_number
  redis.call('HSET', ROOM, 'next_number', whole(number + 1))
  room.next_number = number + 1
  return number
end

-- A new place costs a proof where the sale asks everybody, or where many have come from the same network.
local function costs_a_proof(joins, network, free)
  return asks_everybody or network ~= '' and tonumber(redis.call('HGET', joins, network) or '0') >= free
end

-- The place at the end of the line, or nil and why there is none. This step alone decides between the lobby of a draw and what
-- comes after: the opening is a write of the same store.
local function new_place(lot)
  if room.draw == 'lobby' then
    local place = tonumber(lot)
    return place, not place and 'unpublished' or nil
  end
  local count = next_number()
  if not count then return nil, 'no_numbers' end
  return room.draw == '' and count or arrival_place(room, count)
end

-- Nothing for a place that is there already, or 'rejoined' or 'created'; before it, the word of a refusal if there is one.
local function join(ticket, number, store_id, lot, network, free, proof_ms, pause_ms, JOINS, SPENT, PAUSED)
  take_back(sale, ticket, number, store_id, lot)
  if redis.call('ZSCORE', LINE, ticket) then return end
  local record = record_of(ticket)
  local state = record and record.state
  if state == 'called' or state == 'admitted' or (state == 'done' and record.outcome == 'paid') then return end

  if state == 'missed' then
    if phase == 'closed' or phase == 'cancelled' then return end
    redis.call('ZREM', MISSED, ticket)
    redis.call('ZADD', LINE, exact(record.number), ticket)
    record.state = 'waiting'
    keep(ticket, record)
    log(sale, 'return', ticket, record)
    return nil, 'rejoined'
  end

  if phase == 'announced' then return 'too_early' end
  if takes_no_joins then return 'line_closed' end
  if sale.stock.sold >= sale.stock.allotted then return 'sold_out' end
  local spends = costs_a_proof(JOINS, network, free)
  if spends then
    if proof_ms <= 0 then return 'challenge_required' end
    if redis.call('EXISTS', SPENT) == 1 then return 'proof_spent' end
    if pause_ms > 0 and redis.call('EXISTS', PAUSED) == 1 then return 'pause_too_soon' end
  end

  local place, missing = new_place(lot)
  if not place then return missing end
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
  return nil, 'created'
end

return serve_all(sale, FIELDS, function(buyer, at)
  local door = FIRST_DOOR + DOORS * (buyer - 1)
  return join(ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], tonumber(ARGV[at + 6]),
    tonumber(ARGV[at + 7]), tonumber(ARGV[at + 8]), KEYS[door], KEYS[door + 1], KEYS[door + 2])
end)
