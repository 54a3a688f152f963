-- What several scripts of the lanes need, put in front of each of them. It names no KEYS of its own: keys come in as arguments.

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function whole(number)
  return string.format('%.0f', number)
end

-- The run of this server: a store that was confirmed for another one may have lost its last second.
local function run_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

-- The room's clock in ms, once its store was confirmed for this run of the server; else nil.
local function room_clock(room, run)
  local store = redis.call('HMGET', room, 'store_id', 'run_id', 'clock_ms')
  if store[1] and store[2] == run then
    return store[3] or nil
  end
end

-- Give the ticket's slot to its order. A ticket that has given its slot back gets none by ordering; one that this store never
-- served was admitted before a loss.
local function take_slot(shopping, ordering, served, ticket_id, until_ms)
  if redis.call('ZREM', shopping, ticket_id) == 1 or redis.call('ZSCORE', ordering, ticket_id)
      or redis.call('HEXISTS', served, ticket_id) == 0 then
    redis.call('ZADD', ordering, whole(until_ms), ticket_id)
  end
end

-- Bring a counter up to a number that is known to have been given; one that is further stays.
local function count_on(counter, number)
  if tonumber(redis.call('GET', counter) or '0') < tonumber(number) then
    redis.call('SET', counter, number)
  end
end
