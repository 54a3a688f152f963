-- Accept one order: check what Redis can know, and append it to the sale's lane. All or nothing.
--
-- The record of the order id comes first: the same order again gets the same answer, whatever has changed since.
-- Only refuses early; the drain repeats every check in its transaction.
--
-- KEYS  1 settings   2 stock          3 room            4 shopping    5 ordering   6 lane
--       7 lane:open  8 lane:accepted  9 lane:bell      10 passes     11 order:<id>  12 served
-- ARGV  1 draft: the entry as a JSON object without accepted_no and accepted_at_ms
--       2 order id   3 ticket id   4 pass jti   5 fingerprint
--       6 longest age of the oldest entry, ms   7 longest lane, entries   8 grace of the slot's backstop, ms
--       9 life of the record, s   10 life of the bell flag, ms   11… product id, quantity, product id, quantity …
-- Returns  {'accepted', entry, ring}   entry as appended; ring is 1 when a doorbell shall be rung, else 0
--          {'replayed', entry}         accepted before by the same request
--          {'key_reused'} {'lane_recovering'} {'halted'} {'sale_closed'} {'pass_used'} {'lane_busy'}
--          {'not_on_sale', product id} {'over_limit', product id} {'sold_out', product id}
-- Cost  O(lines + log slots); about 15 commands.

local settings, stock, room, shopping, ordering = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local lane, open, accepted, bell = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local passes, record, served = KEYS[10], KEYS[11], KEYS[12]
local draft, order_id, ticket_id, jti, fingerprint = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

-- The first line that cannot be had, as {word, product id}; nil when all can.
local function refused_line()
  local wanted = {}
  for at = 11, #ARGV, 2 do
    local product_id = ARGV[at]
    wanted[product_id] = (wanted[product_id] or 0) + tonumber(ARGV[at + 1])
    local item = redis.call('HGET', stock, 'item:' .. product_id)
    if not item then
      return {'not_on_sale', product_id}
    end
    local allotted, _, sold, limit = string.match(item, '^(%d+):(%d+):(%d+):(%d+)$')
    if wanted[product_id] > tonumber(limit) then
      return {'over_limit', product_id}
    end
    if tonumber(sold) >= tonumber(allotted) then
      return {'sold_out', product_id}
    end
  end
end

local function is_busy(now)
  if redis.call('LLEN', lane) >= tonumber(ARGV[7]) then
    return true
  end
  local oldest = redis.call('LINDEX', lane, 0)
  if not oldest then
    return false
  end
  local since = string.match(oldest, '"accepted_at_ms":(%d+)}$')
  return since ~= nil and now - tonumber(since) > tonumber(ARGV[6])
end

local known = redis.call('GET', record)
if known then
  if cjson.decode(known).fingerprint == fingerprint then
    return {'replayed', known}
  end
  return {'key_reused'}
end

local copy = redis.call('HMGET', settings, 'control', 'hold_ms')
local control, hold_ms = copy[1], copy[2]
local run = run_id()
local clock_ms = room_clock(room, run)
if redis.call('GET', open) ~= run or redis.call('EXISTS', stock) == 0 or not control or not hold_ms
    or not clock_ms then
  return {'lane_recovering'}
end
if control == 'halted' then
  return {'halted'}
end
if control == 'cancelled' or control == 'draft' then
  return {'sale_closed'}
end
if redis.call('HEXISTS', passes, jti) == 1 then
  return {'pass_used'}
end
local refusal = refused_line()
if refusal then
  return refusal
end
local now = now_ms()
if is_busy(now) then
  return {'lane_busy'}
end

local number = redis.call('INCR', accepted)
local entry = string.sub(draft, 1, -2)
  .. ',"accepted_no":' .. whole(number) .. ',"accepted_at_ms":' .. whole(now) .. '}'
redis.call('SET', record, entry, 'EX', ARGV[9])
redis.call('RPUSH', lane, entry)
redis.call('HSET', passes, jti, order_id)
take_slot(shopping, ordering, served, ticket_id, clock_ms + hold_ms + ARGV[8])
local rung = redis.call('SET', bell, '1', 'NX', 'PX', ARGV[10])
return {'accepted', entry, rung and 1 or 0}
