-- Give a place up: out of the line, or out of the slot, which is free at once. Leaving twice, or without a place, changes nothing.
--
-- KEYS  1–18 as in _shared.lua
-- ARGV  1 ticket id   2, 3 number and store id of the ticket that was shown, 0 and '' without one   4 place in a lobby, '' in a FIFO sale
-- Returns  'left', or 'order_open', 'unconfirmed', 'unpublished'
-- Cost  O(log line)

local ticket = ARGV[1]
local sale, fault = read_sale()
if not sale then return fault end
if redis.call('ZSCORE', ORDERING, ticket) then return 'order_open' end
take_back(sale, ticket, ARGV[2], ARGV[3], ARGV[4])

local record = record_of(ticket)
local place = tonumber(redis.call('ZSCORE', LINE, ticket) or '')
if place then
  redis.call('ZREM', LINE, ticket)
  note_gone(sale, ticket, place)
  record = record or {turn = 0, misses = 0}
  record.number = is_hidden(sale.room, place) and 0 or place
elseif not record or record.state == 'done' or record.state == 'left' or record.state == 'lapsed' then
  return 'left'
elseif record.state == 'missed' then
  redis.call('ZREM', MISSED, ticket)
else
  if record.state == 'called' then
    redis.call('HINCRBY', ROOM, 'turns_ended', 1)
    redis.call('ZREM', TURNS, ticket)
    redis.call('ZREM', UNSEEN, ticket)
  else
    redis.call('ZREM', SHOPPING, ticket)
    redis.call('HSET', PASSES, record.jti, 'left')
  end
  redis.call('HINCRBY', ROOM, 'no_shows', 1)
  log(sale, 'free', ticket, record, 'left')
end
redis.call('HINCRBY', ROOM, 'count_left', 1)
record.state, record.ended = 'left', numbers_given(sale)
keep(ticket, record)
return 'left'
