-- Move a device's place to its buyer's account: of two places the lower number stays, the other one ends. Twice is once.
--
-- A turn moves with what is left of its time, and a place that was missed once stays one. A number may become lower by it, so that
-- what had ended before must not outlive it; turns go on above all that the account has had, since passes are named by them.
--
-- KEYS  1–18 as in _shared.lua
-- ARGV  1 ticket id of the device   2 ticket id of the account   3, 4 number and store id of the device's ticket that was shown
-- Returns  'moved', 'ended' (the account holds the better place), 'nothing' (the device has none), 'unconfirmed', 'unpublished'
-- Cost  O(log line)

local device, account = ARGV[1], ARGV[2]
local sale, fault = read_sale()
if not sale then return fault end
take_back(sale, device, ARGV[3], ARGV[4])
-- Before a draw a ticket stands where its own id puts it, and nobody else can stand there. That goes on for one of the lobby which
-- came back after a loss, until it has its number: what cannot be compared yet stays where it is.
local function is_undrawn(ticket)
  local stands = tonumber(redis.call('ZSCORE', LINE, ticket) or '')
  return stands and is_hidden(sale.room, stands)
end
if sale.room.draw ~= '' and sale.room.draw ~= 'drawn' or is_undrawn(device) or is_undrawn(account) then return 'nothing' end

local SETS = {waiting = {LINE}, called = {TURNS, UNSEEN}, missed = {MISSED}}

-- The place that can move: its record with state and number, or nil. What is in checkout belongs to an account already.
local function place_of(ticket)
  local record, number = record_of(ticket), tonumber(redis.call('ZSCORE', LINE, ticket) or '')
  if number then
    record = record or {turn = 0, misses = 0, extended = false}
    record.state, record.number = 'waiting', number
    return record
  end
  return record and SETS[record.state] and record or nil
end

-- Out of its sets; the scores, by key.
local function take_out(ticket, state)
  local scores = {}
  for _, key in ipairs(SETS[state]) do
    scores[key] = redis.call('ZSCORE', key, ticket) or nil
    redis.call('ZREM', key, ticket)
  end
  if scores[LINE] then note_gone(sale, ticket, tonumber(scores[LINE])) end
  return scores
end

-- A turn that nobody takes any more frees its slot, as if its buyer had left.
local function give_turn_up(ticket, place)
  redis.call('HINCRBY', ROOM, 'turns_ended', 1)
  redis.call('HINCRBY', ROOM, 'no_shows', 1)
  log(sale, 'free', ticket, place, 'left')
end

local function end_device(place)
  keep(device, {state = 'left', number = place.number, turn = place.turn, misses = place.misses, extended = false,
    ended = numbers_given(sale)})
  log(sale, 'move', device, place, 'gone')
end

local theirs = place_of(device)
if not theirs then return 'nothing' end
local known, own = record_of(account), place_of(account)
local in_checkout = known and (known.state == 'admitted' or (known.state == 'done' and known.outcome == 'paid'))

local scores = take_out(device, theirs.state)
end_device(theirs)
if in_checkout or (own and own.number <= theirs.number) then
  if theirs.state == 'called' then give_turn_up(device, theirs) end
  return 'ended'
end

if own then
  take_out(account, own.state)
  if own.state == 'called' then give_turn_up(account, own) end
end
local had = known and known.turn or 0
local turn = math.max(theirs.turn, theirs.state == 'called' and had + 1 or had)
local ended = known and known.ended and math.min(known.ended, theirs.number - 1) or nil
local moved = {state = theirs.state, number = theirs.number, turn = turn, misses = theirs.misses,
  extended = theirs.extended, ended = ended}
for key, score in pairs(scores) do redis.call('ZADD', key, score, account) end
if known or turn > 0 then keep(account, moved) end
log(sale, 'move', account, moved, moved.state .. ' ' .. whole(moved.misses))
return 'moved'
