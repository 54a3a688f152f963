-- Lay again, before the store is confirmed, what the database knows of those who were called.
--
-- What the store itself knows later than the database stays. A called ticket gets a full new turn window, a missed one its whole
-- come-back time, an unused pass what is left of it, a live order its slot and its mark on the pass.
--
-- KEYS  1–18 as in _shared.lua
-- ARGV  1 token of the controller   2 JSON array of records (waiting_room.recovery.Served)   3 life of the lease, ms
-- Returns  'laid', or 'not_leader', 'unpublished', 'confirmed' (too late: the store is in use)
-- Cost  O(records log line); some hundred records a call.

local GRACE_MS = 30000
local RANKS = {called = 1, admitted = 2, missed = 3, left = 4, lapsed = 4, done = 4, waiting = 5}

if redis.call('GET', KEYS[14]) ~= ARGV[1] then return 'not_leader' end
redis.call('PEXPIRE', KEYS[14], ARGV[3])
if read_room() then return 'confirmed' end
local settings = read_settings()
if not settings then return 'unpublished' end
local now = wall_ms()
local clocks = redis.call('HMGET', ROOM, 'clock_ms', 'comeback_ms', 'now_serving')
local clock, comeback, serving = tonumber(clocks[1] or '0'), tonumber(clocks[2] or '0'), tonumber(clocks[3] or '0')

-- How far a ticket has come within one turn. An order that lives is later than its pass, a purchase later than a freed slot.
local function rank(record)
  if record.state == 'admitted' and record.order_id then return 2.5 end
  if record.state == 'done' and record.outcome == 'paid' then return 4.5 end
  return RANKS[record.state]
end

local function is_later(told, known)
  if not known then return true end
  if told.turn ~= known.turn then return told.turn > known.turn end
  return rank(told) > rank(known)
end

local function admit(ticket, told, record)
  record.jti = ticket .. '.' .. whole(told.turn)
  record.iat = told.iat or record.iat or math.floor(now / 1000)
  record.exp = told.exp or record.exp or record.iat + math.ceil(settings.pass_ms / 1000)
  record.kid = told.kid or record.kid
  record.slot_ms = clock + math.max(0, record.exp * 1000 - now)
end

local function place(ticket, told, record)
  for _, key in ipairs({LINE, TURNS, UNSEEN, MISSED, SHOPPING, ORDERING}) do redis.call('ZREM', key, ticket) end
  if told.state == 'called' then
    redis.call('ZADD', TURNS, whole(clock + settings.turn_window_ms), ticket)
  elseif told.state == 'missed' then
    redis.call('ZADD', MISSED, whole(comeback + settings.comeback_ms), ticket)
  elseif told.state == 'waiting' then
    redis.call('ZADD', LINE, whole(told.number), ticket)
  elseif told.state == 'admitted' and told.order_id then
    local hold_ms = tonumber(redis.call('HGET', SETTINGS, 'hold_ms') or '0')
    redis.call('ZADD', ORDERING, whole(clock + hold_ms + GRACE_MS), ticket)
  elseif told.state == 'admitted' then
    redis.call('ZADD', SHOPPING, whole(record.slot_ms), ticket)
  end
end

-- A pass that has bought, was left or has expired buys nothing again.
local function mark_pass(ticket, told)
  local mark = told.order_id or (told.state == 'left' and told.iat and 'left') or (told.state == 'lapsed' and told.iat and 'expired')
  if mark then redis.call('HSETNX', PASSES, ticket .. '.' .. whole(told.turn), mark) end
end

local function lay(told)
  local ticket, known = told.ticket_id, record_of(told.ticket_id)
  serving = math.max(serving, told.called)
  mark_pass(ticket, told)
  if not is_later(told, known) then return end
  local record = known and known.turn == told.turn and known or {}
  record.state, record.turn, record.misses, record.extended = told.state, told.turn, told.misses, false
  record.number = told.number > 0 and told.number or record.number or 0
  record.outcome = told.outcome
  local ended = math.max(told.ended, known and known.ended or 0)
  record.ended = ended > 0 and ended or nil
  if told.state == 'admitted' or told.state == 'done' then admit(ticket, told, record) end
  place(ticket, told, record)
  keep(ticket, record)
end

-- Whoever was served does not wait, and who answers polls without asking here must not think so (note_gone).
local function note_served(told)
  if told.state == 'waiting' then return end
  if told.number > serving then redis.call('RPUSH', GONE, whole(told.number)) end
  if settings.mode == 'draw' then redis.call('RPUSH', GONE, told.ticket_id) end
end

local everybody = cjson.decode(ARGV[2])
for _, told in ipairs(everybody) do lay(told) end
for _, told in ipairs(everybody) do note_served(told) end
redis.call('HSET', ROOM, 'now_serving', whole(serving))
return 'laid'
