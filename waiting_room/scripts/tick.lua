-- One tick of the admission: move the clocks, end what is over, free slots, call the head of the line as far as all allow.
--
-- Acts only for the controller that holds the lease, and renews it in the same step. A tick id that is known gets the stored reply.
--
-- KEYS  1–16 as in _shared.lua
-- ARGV  1 token   2 tick id   3 time since the leader's last tick, ms   4 life of the lease, ms
--       5, 6, 7 calls allowed by rate, stock, backlog (waiting_room/pace.py)   8 time in which a called ticket must be seen, ms
--       9 why nobody shall be called, as the limit that is shown; '' for no such reason
-- Returns  the figures after the tick (JSON; waiting_room.ticking.TickReply), also kept for a repeated tick id, or
--          'not_leader', 'unconfirmed', 'unpublished'
-- Cost  O((calls + endings) log line); at most 250 calls and 500 endings of each kind a tick. Where only this bound held it back, the
--       reply says `more`, and the leader makes the next tick at once: others get their turn in between.

local WINDOW, LEASE, OUTCOMES, LANE = KEYS[13], KEYS[14], KEYS[15], KEYS[16]
local MINUTE_MS, LONGEST_STEP_MS, MOST_CALLS, MOST_ENDINGS = 60000, 1000, 250, 500

if redis.call('GET', LEASE) ~= ARGV[1] then return 'not_leader' end
redis.call('PEXPIRE', LEASE, ARGV[4])
local sale, fault = read_sale()
if not sale then return fault end
local last = redis.call('HMGET', ROOM, 'tick_id', 'tick_reply', 'tick_rate', 'tick_capacity', 'tick_control')
if last[1] == ARGV[2] then return last[2] end

local settings, stock, room, phase, now = sale.settings, sale.stock, sale.room, sale.phase, sale.now

-- ---------------------------------------------------------------- clocks
local dt = math.max(0, math.min(LONGEST_STEP_MS, tonumber(ARGV[3])))
local control = settings.control
if control ~= 'halted' then room.clock_ms = room.clock_ms + dt end
if control ~= 'halted' and control ~= 'paused' then room.comeback_ms = room.comeback_ms + dt end
room.wall_ms = math.max(now, room.wall_ms)

-- ---------------------------------------------------------------- the opening of a draw
-- One write. Every join reads it in its own step, so that each has exactly one place, before the opening or after it. After a loss
-- everybody gets the time to come back to the lobby first.
local function open_the_draw()
  local going_on = not words('draft', 'closed', 'cancelled')[control] and room.wall_ms < settings.closes_at_ms
  local due = room.draw == 'gathering' or (room.draw == 'lobby' and going_on and room.wall_ms >= settings.opens_at_ms)
  if not due or room.wall_ms < room.settled_ms then return end
  if room.opened_ms == 0 then room.opened_ms = room.wall_ms end
  room.draw, room.lobby_size = 'drawing', redis.call('ZCOUNT', LINE, '-inf', '(0')
  redis.call('HSET', ROOM, 'draw', room.draw, 'opened_ms', whole(room.opened_ms), 'lobby_size', whole(room.lobby_size))
  phase = phase_now(settings, stock, room, now)
end

-- Tickets of a draw's lobby that have no number, though the list is public: after a loss they come one by one.
local function unnumbered()
  return has_list(room) and redis.call('ZCOUNT', LINE, '-inf', '(0') or 0
end

local function due(key, clock)
  return redis.call('ZRANGEBYSCORE', key, '-inf', whole(clock), 'LIMIT', 0, MOST_ENDINGS)
end

-- ---------------------------------------------------------------- endings
-- A ticket of these sets has a record; should one ever lack it, its slot is free and the sale goes on.
local function lapse(ticket, record, why)
  if not record then return end
  record.state, record.ended = 'lapsed', numbers_given(sale)
  keep(ticket, record)
  log(sale, 'lapse', ticket, record, why)
end

local function finish(ticket, record, outcome)
  record.state, record.outcome, record.ended = 'done', outcome, numbers_given(sale)
  keep(ticket, record)
  log(sale, 'free', ticket, record, outcome)
end

-- What ended an order: "jti outcome". Repeats, unknown ones and those of an earlier turn change nothing.
local function take_outcome(entry)
  local ticket, turn, outcome = string.match(entry, '^(%S+)%.(%d+) (%a+)$')
  if not ticket then return end
  local record = record_of(ticket)
  if not record then  -- admitted by a store that was lost: only its slot is known
    if outcome ~= 'rejected' then redis.call('ZREM', ORDERING, ticket) end
    return
  end
  if record.turn ~= tonumber(turn) then  -- an earlier turn; if a lost store gave it, its order may hold a slot here
    local own = record.state == 'admitted' and redis.call('HEXISTS', PASSES, record.jti) == 1
    if outcome ~= 'rejected' and not own then redis.call('ZREM', ORDERING, ticket) end
    return
  end
  if record.state == 'admitted' and outcome == 'rejected' then
    -- The pass is given back; unless it carries another order already.
    if redis.call('HEXISTS', PASSES, record.jti) == 0 and redis.call('ZREM', ORDERING, ticket) == 1 then
      redis.call('ZADD', SHOPPING, whole(record.slot_ms), ticket)
    end
  elseif outcome == 'paid' or outcome == 'ended' then
    if record.state == 'admitted' then
      redis.call('ZREM', ORDERING, ticket)
      redis.call('ZREM', SHOPPING, ticket)
      finish(ticket, record, outcome)
    elseif record.state == 'done' and outcome == 'paid' and record.outcome ~= 'paid' then
      finish(ticket, record, outcome)  -- paid after the backstop had freed the slot
    end
  end
end

local function take_outcomes()
  local entries = redis.call('LRANGE', OUTCOMES, 0, MOST_ENDINGS - 1)
  for _, entry in ipairs(entries) do take_outcome(entry) end
  if #entries > 0 then redis.call('LTRIM', OUTCOMES, #entries, -1) end
end

-- A missed turn frees its slot at once. The first one may be made good from the missed set; the second lapses.
local function miss(ticket, why)
  redis.call('ZREM', TURNS, ticket)
  redis.call('ZREM', UNSEEN, ticket)
  local record = record_of(ticket)
  if not record then return end
  record.misses = record.misses + 1
  room.turns_ended, room.no_shows = room.turns_ended + 1, room.no_shows + 1
  if record.misses >= 2 then return lapse(ticket, record, why) end
  record.state = 'missed'
  keep(ticket, record)
  redis.call('ZADD', MISSED, whole(room.comeback_ms + settings.comeback_ms), ticket)
  log(sale, 'miss', ticket, record, why)
end

local function end_what_is_over()
  for _, ticket in ipairs(due(TURNS, room.clock_ms)) do miss(ticket, 'turn_over') end
  for _, ticket in ipairs(due(UNSEEN, room.clock_ms)) do miss(ticket, 'unseen') end
  for _, ticket in ipairs(due(MISSED, room.comeback_ms)) do
    redis.call('ZREM', MISSED, ticket)
    lapse(ticket, record_of(ticket), 'comeback_over')
  end
  for _, ticket in ipairs(due(SHOPPING, room.clock_ms)) do
    redis.call('ZREM', SHOPPING, ticket)
    local record = record_of(ticket)
    if record then redis.call('HSET', PASSES, record.jti, 'expired') end
    room.no_shows = room.no_shows + 1
    lapse(ticket, record, 'pass_unused')
  end
  for _, ticket in ipairs(due(ORDERING, room.clock_ms)) do
    redis.call('ZREM', ORDERING, ticket)
    local record = record_of(ticket)
    -- An order of a lost store may hold a slot beside the present turn, whose own pass is not used yet.
    if record and record.state == 'admitted' and not redis.call('ZSCORE', SHOPPING, ticket) then
      finish(ticket, record, 'ended')
    end
  end
end

-- ---------------------------------------------------------------- calls
-- Why nobody may be called just now, or 'open'. Draining goes on calling; the opening is a matter of time alone.
-- Before everybody in a draw has a number nobody knows who is next, and who is first of a large lobby may be among those who were asked
-- to come back last (waiting_room/polling.py): nobody is called so early that a turn would be over unseen by then.
local FIRST_POLLS_PER_MS = 5
local unseen_ms = tonumber(ARGV[8])
local function is_undrawn(without_number)
  if room.draw == '' then return false end
  local looked_ms = room.opened_ms + room.lobby_size / FIRST_POLLS_PER_MS - unseen_ms
  return room.draw ~= 'drawn' or without_number > 0 or room.wall_ms < looked_ms
end

local function gate_of(without_number)
  local gate = phase
  if phase == 'draining' then
    if room.wall_ms < settings.opens_at_ms or room.draw == 'lobby' then return 'lobby' end
    gate = stock.held + stock.sold >= stock.allotted and 'all_held' or 'open'
  end
  return gate == 'open' and is_undrawn(without_number) and 'drawing' or gate
end

local function slots_held()
  return redis.call('ZCARD', TURNS) + redis.call('ZCARD', SHOPPING) + redis.call('ZCARD', ORDERING)
end

-- After a loss some slots may be taken by buyers of whom nothing is known: they count until no pass of theirs can be good.
local function slots_taken()
  local unknown = room.clock_ms < room.unknown_until_ms and room.unknown_slots or 0
  return unknown + slots_held()
end

-- Nobody may be called while a loss has left the room without its call log; the operator's resume ends that early.
local function is_quiet()
  if room.clock_ms >= room.quiet_until_ms then return false end
  if control == 'running' and words('paused', 'halted', 'draining')[last[5] or ''] then
    redis.call('HSET', ROOM, 'quiet_until_ms', '0')
    return false
  end
  return true
end

-- Drops what is older than a minute from the window of calls and freed slots.
local function slide_window()
  while true do
    local at, count, freed = string.match(redis.call('LINDEX', WINDOW, 0) or '', '^(%d+):(%d+):?(%d*)$')
    if not at or tonumber(at) > room.clock_ms - MINUTE_MS then return end
    redis.call('LPOP', WINDOW)
    room.window_sum = math.max(0, room.window_sum - tonumber(count))
    room.freed_sum = math.max(0, room.freed_sum - (tonumber(freed) or 0))
  end
end

local by_rate, by_stock, by_backlog = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local hold = ARGV[9]

-- How many to call, what held back those who go on waiting, and whether there are more to call at once.
local function allowed(gate, quiet)
  local waiting = redis.call('ZCARD', LINE)
  local by_capacity = settings.capacity - slots_taken()
  local by_window = settings.calls_per_minute - room.window_sum
  local limit = 'rate'
  if hold ~= '' then limit = hold
  elseif waiting == 0 then limit = 'none'
  elseif quiet then limit = 'rebuilding'
  elseif by_capacity <= 0 then limit = 'capacity'
  elseif by_stock <= 0 then limit = 'stock'
  elseif by_backlog <= 0 then limit = 'backlog' end
  if gate ~= 'open' or quiet or hold ~= '' then return 0, limit, false end
  local all = math.max(0, math.min(waiting, by_capacity, by_window, by_rate, by_stock, by_backlog))
  return math.min(all, MOST_CALLS), limit, all > MOST_CALLS
end

-- The record of who is called, written out: cjson would take longer than all the rest of a call.
local CALLED = '{"state":"called","number":%.14g,"turn":%.0f,"misses":%.0f,"extended":false%s}'
local function called_record(number, turn, before)
  local ended = before and before.ended
  return string.format(CALLED, number, turn, before and before.misses or 0,
    ended and string.format(',"ended":%.14g', ended) or '')
end

-- All at once with one command for each key; only the call log takes an entry each. Calls at most MOST_CALLS, so that the arguments
-- stay far below what Lua can unpack (some 7,900).
local function call_head(count)
  if count == 0 then return end
  local head, tickets = redis.call('ZPOPMIN', LINE, count), {}
  for at = 1, #head, 2 do tickets[#tickets + 1] = head[at] end
  local known = redis.call('HMGET', SERVED, unpack(tickets))
  local turn_ends, seen_by = whole(room.clock_ms + settings.turn_window_ms), whole(room.clock_ms + unseen_ms)
  local records, turns, unseen = {}, {}, {}
  for at, ticket in ipairs(tickets) do
    local number, before = tonumber(head[2 * at]), known[at] and cjson.decode(known[at])
    local turn = math.max(before and before.turn or 0, room.turns_before) + 1
    records[2 * at - 1], records[2 * at] = ticket, called_record(number, turn, before)
    turns[2 * at - 1], turns[2 * at] = turn_ends, ticket
    unseen[2 * at - 1], unseen[2 * at] = seen_by, ticket
    enter(sale, 'call', ticket, number, turn)
  end
  redis.call('HSET', SERVED, unpack(records))
  redis.call('ZADD', TURNS, unpack(turns))
  redis.call('ZADD', UNSEEN, unpack(unseen))
  count_events('call', #tickets)
  room.now_serving = math.max(room.now_serving, math.ceil(tonumber(head[#head])))
end

-- How many were called, and how many slots became free since the last tick, by the buyers themselves or by this one.
local function note_in_window(count, freed)
  room.slots = slots_held()
  if count + freed == 0 then return end
  redis.call('RPUSH', WINDOW, whole(room.clock_ms) .. ':' .. whole(count) .. ':' .. whole(freed))
  room.window_sum, room.freed_sum = room.window_sum + count, room.freed_sum + freed
end

-- ---------------------------------------------------------------- the tick
open_the_draw()
take_outcomes()
end_what_is_over()
slide_window()
local without_number = unnumbered()
local gate = gate_of(without_number)
local freed = math.max(0, room.slots - slots_held())
local count, limit, more = allowed(gate, is_quiet())
call_head(count)
note_in_window(count, freed)

-- When something began that makes people wait longer, so that an estimate can say why.
if gate ~= room.gate then room.gate, room.gate_since_ms = gate, now end
if limit ~= room.limit then room.limit, room.limit_since_ms = limit, now end

-- A setting that was lowered explains the wait until it is raised again.
local function lowered_ms(before, after, since)
  before = tonumber(before or after)
  if after < before then return now end
  return after > before and 0 or since
end
room.rate_lowered_ms = lowered_ms(last[3], settings.calls_per_minute, room.rate_lowered_ms)
room.capacity_lowered_ms = lowered_ms(last[4], settings.capacity, room.capacity_lowered_ms)

if gate == 'open' and control ~= 'halted' then room.calling_ms = room.calling_ms + dt end

local spare = redis.call('HMGET', ROOM, 'spare_first', 'spare_last')
local block_left = math.max(0, room.last_number - room.next_number + 1)
local reply = cjson.encode({
  tick_id = ARGV[2], calls = count, more = more, phase = phase, gate = gate, gate_since_ms = room.gate_since_ms,
  limit = limit, limit_since_ms = room.limit_since_ms, as_of_ms = now, store_id = room.store_id,
  clock_ms = room.clock_ms, comeback_ms = room.comeback_ms, now_serving = room.now_serving,
  waiting = redis.call('ZCARD', LINE), called = redis.call('ZCARD', TURNS), missed = redis.call('ZCARD', MISSED),
  shopping = redis.call('ZCARD', SHOPPING), ordering = redis.call('ZCARD', ORDERING),
  calls_last_minute = room.window_sum, calls_per_minute = settings.calls_per_minute, capacity = settings.capacity,
  over_call_limit = settings.over_call_limit / 100, turns_ended = room.turns_ended, no_shows = room.no_shows,
  allotted = stock.allotted, held = stock.held, sold = stock.sold,
  lane_depth = redis.call('LLEN', LANE), lane_age_ms = lane_age_ms(LANE, now),
  next_number = room.next_number, block_left = block_left, spare_ready = spare[1] ~= false,
  calls_logged = redis.call('XLEN', CALLS), draw = room.draw, opened_ms = room.opened_ms, unnumbered = without_number,
})
redis.call('HSET', ROOM, 'clock_ms', whole(room.clock_ms), 'comeback_ms', whole(room.comeback_ms),
  'wall_ms', whole(room.wall_ms), 'now_serving', whole(room.now_serving), 'window_sum', whole(room.window_sum),
  'freed_sum', whole(room.freed_sum), 'slots', whole(room.slots),
  'turns_ended', whole(room.turns_ended), 'no_shows', whole(room.no_shows), 'calling_ms', whole(room.calling_ms),
  'gate', gate, 'gate_since_ms', whole(room.gate_since_ms), 'limit', limit,
  'limit_since_ms', whole(room.limit_since_ms), 'rate_lowered_ms', whole(room.rate_lowered_ms),
  'capacity_lowered_ms', whole(room.capacity_lowered_ms), 'tick_id', ARGV[2], 'tick_reply', reply,
  'tick_rate', settings.calls_per_minute, 'tick_capacity', settings.capacity, 'tick_control', control)
return reply
