-- What every script of the waiting room begins with; put in front of each when it is loaded (waiting_room/scripts/__init__.py).
--
-- KEYS come in one order for all scripts; those that need few take a beginning of it:
--       1 settings   2 stock      3 room      4 line    5 served   6 turns   7 unseen   8 missed   9 shopping
--      10 ordering  11 passes    12 calls    13 window 14 lease   15 outcomes 16 lane   17 digest   18 gone
-- A refusal is answered as one word; everything else as a JSON object.
-- Deadlines are on the sale clock, but for those of `missed`, which are on the come-back clock (waiting_room/clock.py).

local SETTINGS, STOCK, ROOM, LINE, SERVED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local TURNS, UNSEEN, MISSED, SHOPPING, ORDERING = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local PASSES, CALLS = KEYS[11], KEYS[12]
local GONE = KEYS[18]

local function words(...)
  local set = {}
  for _, word in ipairs({...}) do set[word] = true end
  return set
end

-- A number from Redis as text without exponent or rounding.
local function whole(number)
  return string.format('%.0f', number)
end

-- A place as text from which the very same place is read again: places of a draw have a fraction.
local function exact(place)
  return string.format('%.17g', place)
end

local function wall_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The values of these fields as numbers by name, or nil when one of them is missing or no number.
local function numbers(key, names)
  local values, read = redis.call('HMGET', key, unpack(names)), {}
  for at, name in ipairs(names) do
    local number = tonumber(values[at] or '')
    if not number then return nil end
    read[name] = number
  end
  return read
end

local SETTING_NAMES = {'lobby_opens_at_ms', 'opens_at_ms', 'closes_at_ms', 'calls_per_minute', 'capacity',
  'turn_window_ms', 'comeback_ms', 'pass_ms', 'over_call_limit'}
local ROOM_NAMES = {'clock_ms', 'comeback_ms', 'now_serving', 'window_sum', 'freed_sum', 'slots', 'next_number', 'last_number', 'wall_ms',
  'turns_ended', 'no_shows', 'gate_since_ms', 'limit_since_ms', 'rate_lowered_ms', 'capacity_lowered_ms', 'calling_ms',
  'lost_ms', 'settled_ms', 'turns_before', 'unknown_slots', 'unknown_until_ms', 'quiet_until_ms', 'opened_ms', 'lobby_size'}
local MODES = words('fifo', 'draw')
local CONTROLS = words('draft', 'running', 'paused', 'halted', 'draining', 'closed', 'cancelled')

-- A draw goes through these stages (field `draw` of the room; none in a FIFO sale):
--   lobby      places are draw scores less 1, so in [-1, 0), and nothing shows them
--   gathering  a store that is lost had opened it: whoever was in its lobby comes back before the list is made
--   drawing    opened; the leader stores the list of the lobby
--   listed     the list is public; the lobby's scores become numbers
--   drawn      every place is a number, and people are called
-- Whoever came after the opening stands at ARRIVALS + count until the list is public, then at lobby size + count.
local ARRIVALS = 4294967296

local function has_list(room)
  return room.draw == 'listed' or room.draw == 'drawn'
end

local function arrival_place(room, count)
  return (has_list(room) and room.lobby_size or ARRIVALS) + count
end

-- Nothing shows a place of a draw before all of them are numbers.
local function is_hidden(room, place)
  return room.draw ~= '' and (room.draw ~= 'drawn' or place < 0)
end

-- The same function as waiting_room.window.phase; a test compares them. `unopened`: a draw whose opening was not written yet.
local function phase_of(settings, stock, now, unopened)
  local control = settings.control
  if control == 'draft' or control == 'cancelled' or control == 'closed' then return control end
  if now >= settings.closes_at_ms then return 'closed' end
  if now < settings.lobby_opens_at_ms then return 'announced' end
  if unopened or now < settings.opens_at_ms then return control == 'draining' and 'draining' or 'lobby' end
  if control == 'halted' then return 'halted' end
  if stock.sold >= stock.allotted then return 'sold_out' end
  if control == 'paused' or control == 'draining' then return control end
  return stock.held + stock.sold >= stock.allotted and 'all_held' or 'open'
end

-- Settings as numbers, and the control word; nil when one is missing or malformed.
local function read_settings()
  local settings = numbers(SETTINGS, SETTING_NAMES)
  local control, mode = unpack(redis.call('HMGET', SETTINGS, 'control', 'mode'))
  if not settings or not CONTROLS[control or ''] or not MODES[mode or ''] then return nil end
  settings.control, settings.mode = control, mode
  return settings
end

-- The run of this server. Asked of the server itself, so that no process can remember an older one.
local function run_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end

local function read_room()
  local confirmed = redis.call('HMGET', ROOM, 'store_id', 'run_id', 'gate', 'limit', 'draw')
  if not confirmed[1] or confirmed[2] ~= run_id() then return nil end
  local room = numbers(ROOM, ROOM_NAMES)
  if not room then return nil end
  room.store_id, room.gate, room.limit = confirmed[1], confirmed[3] or '', confirmed[4] or 'none'
  room.draw = confirmed[5] or ''
  return room
end

-- The phase, and the stage of a draw in `room`. Phases go forward only: they are told by the latest wall time that a tick has
-- seen, and a draw that was opened stays opened.
local function phase_now(settings, stock, room, now)
  if settings.mode ~= 'draw' then room.draw = '' elseif room.draw == '' then room.draw = 'lobby' end
  if room.opened_ms > 0 then settings.opens_at_ms = math.min(settings.opens_at_ms, room.opened_ms) end
  return phase_of(settings, stock, math.max(now, room.wall_ms), room.draw == 'lobby')
end

-- The sale as this step finds it, or nil and the word that says what is missing. There are no defaults.
local function read_sale()
  local room = read_room()
  if not room then return nil, 'unconfirmed' end
  local settings, stock = read_settings(), numbers(STOCK, {'allotted', 'held', 'sold'})
  if not settings or not stock then return nil, 'unpublished' end
  local now = wall_ms()
  local phase = phase_now(settings, stock, room, now)
  return {settings = settings, stock = stock, room = room, now = now, phase = phase}
end

local function record_of(ticket)
  local kept = redis.call('HGET', SERVED, ticket)
  return kept and cjson.decode(kept) or nil
end

local function keep(ticket, record)
  redis.call('HSET', SERVED, ticket, cjson.encode(record))
end

-- The call log. Every entry names its store, so that a copy of it can be told from an older store's. Beside it events are counted
-- for those who watch.
local function enter(sale, event, ticket, number, turn, detail)
  sale.now_told = sale.now_told or whole(sale.now)
  redis.call('XADD', CALLS, '*', 'event', event, 'ticket_id', ticket, 'number', whole(math.ceil(number)),
    'turn', whole(turn), 'detail', detail or '', 'at_ms', sale.now_told, 'store_id', sale.room.store_id)
end

local function count_events(event, count)
  redis.call('HINCRBY', ROOM, 'count_' .. event, count)
end

local function log(sale, event, ticket, record, detail)
  count_events(event, 1)
  enter(sale, event, ticket, record.number, record.turn, detail)
end

-- How old the first of the undecided orders is, ms; 0 for an empty lane.
local function lane_age_ms(lane, now)
  local oldest = string.match(redis.call('LINDEX', lane, 0) or '', '"accepted_at_ms":(%d+)')
  return oldest and math.max(0, now - tonumber(oldest)) or 0
end

-- Every number that was given to anybody so far: a place that ends now ends with all of its buyer's older tickets.
local function numbers_given(sale)
  local given = sale.room.next_number - 1
  if sale.room.draw == '' then return given end
  return sale.room.draw == 'lobby' and 0 or arrival_place(sale.room, given)
end

-- The place that a ticket of an earlier store stands for, nil for none. `number` is its number; in a draw 0 for a ticket of the
-- lobby, whose place its draw score tells, or minus the count of one that arrived before the list was public.
local function place_told(sale, number, lot)
  local room = sale.room
  if room.draw ~= '' and number == 0 then return lot end
  if room.draw ~= '' and number < 0 then
    return -number < room.next_number and arrival_place(room, -number) or nil
  end
  local numbered = room.draw == '' or has_list(room)
  return numbered and number >= 1 and number <= numbers_given(sale) and number or nil
end

-- Whether who stands in the line already stands no further behind. In the line a ticket of the lobby has its number by now.
local function stands_before(sale, stands, place)
  return stands <= place or (place < 0 and has_list(sale.room) and stands < sale.room.lobby_size + 1)
end

-- A number above all that were called, whose holder does not wait at it any more; where the place shows no number, the ticket. A
-- number that only shows later is told by the ticket already, so that both are noted.
-- Processes that answer polls without asking here read these (waiting_room/digest.py): every script that takes a ticket out of the
-- line, other than by calling it, notes its place.
local function note_gone(sale, ticket, place)
  local is_number = place > 0 and place < ARRIVALS and place == math.floor(place)
  if is_number then redis.call('RPUSH', GONE, whole(place)) end
  if not is_number or is_hidden(sale.room, place) then redis.call('RPUSH', GONE, ticket) end
end

-- A ticket that an earlier store gave out goes back to its own place, unless this one knows better: the buyer holds a turn, a pass
-- or a purchase, stands further ahead already, or the place has ended (`ended`: the highest number known to have done so).
-- A ticket of the present store says nothing that the store would not know.
local function take_back(sale, ticket, number, store_id, lot)
  if not store_id or store_id == '' or store_id == sale.room.store_id then return end
  local place = place_told(sale, tonumber(number or '') or 0, tonumber(lot or ''))
  if not place then return end
  local record = record_of(ticket)
  if record then
    local state = record.state
    if state == 'called' or state == 'admitted' or state == 'missed' or (state == 'done' and record.outcome == 'paid') then
      if record.number == 0 and place >= 1 then  -- served before the loss, by what the orders say; only the ticket knows the number
        record.number = place
        keep(ticket, record)
        note_gone(sale, ticket, place)
      end
      return
    end
    if place <= (record.ended or 0) then return end
  end
  local stands = tonumber(redis.call('ZSCORE', LINE, ticket) or '')
  if stands and stands_before(sale, stands, place) then return end
  if stands then note_gone(sale, ticket, stands) end
  redis.call('ZADD', LINE, exact(place), ticket)
  if not record then return end
  local misses = record.state == 'waiting' and record.number == place and record.misses or 0
  keep(ticket, {state = 'waiting', number = is_hidden(sale.room, place) and 0 or place, turn = record.turn, misses = misses,
    extended = false, ended = record.ended})
end

-- The number of a place, and the mark that its ticket carries (waiting_room/ticket.py). A ticket that stands between two numbers
-- has the upper one for its number, and keeps the mark of the lobby: only its draw score tells where exactly.
local function tell_place(seen, room, place)
  local number = math.ceil(place)
  if place > ARRIVALS then seen.mark = ARRIVALS - place else seen.mark = place > 0 and place == number and place or 0 end
  if not is_hidden(room, place) then seen.number = number end
end

-- The sale around a ticket, the same for all its buyers (waiting_room.place.Around).
local function around(sale)
  local settings, stock, room = sale.settings, sale.stock, sale.room
  return {
    phase = sale.phase, now_ms = sale.now, clock_ms = room.clock_ms, comeback_ms = room.comeback_ms,
    store_id = room.store_id, opens_at_ms = settings.opens_at_ms, calls_per_minute = settings.calls_per_minute,
    calls_last_minute = room.window_sum, calling_ms = room.calling_ms, gate_since_ms = room.gate_since_ms,
    limit = room.limit, limit_since_ms = room.limit_since_ms, rate_lowered_ms = room.rate_lowered_ms,
    capacity_lowered_ms = room.capacity_lowered_ms, lost_ms = room.lost_ms, settled_ms = room.settled_ms,
    allotted = stock.allotted, held = stock.held, sold = stock.sold,
    waiting = redis.call('ZCARD', LINE),
    before_order = redis.call('ZCARD', TURNS) + redis.call('ZCARD', SHOPPING),
    capacity = settings.capacity, slots = room.slots, freed_last_minute = room.freed_sum, draw = room.draw,
  }
end

-- What a buyer may know of a ticket itself (waiting_room.place.Seen), written into `seen`; nil when the room knows none.
local function tell_own(seen, sale, ticket)
  local place = tonumber(redis.call('ZSCORE', LINE, ticket) or '')
  if place then
    seen.state = 'waiting'
    tell_place(seen, sale.room, place)
    if seen.number then seen.ahead = redis.call('ZRANK', LINE, ticket) end
    return seen
  end
  local record = record_of(ticket)
  if not record then return nil end
  seen.state, seen.turn, seen.outcome = record.state, record.turn, record.outcome
  tell_place(seen, sale.room, record.number)
  if record.state == 'called' then
    seen.turn_ends_ms, seen.extended = tonumber(redis.call('ZSCORE', TURNS, ticket)), record.extended
  elseif record.state == 'missed' then
    seen.comeback_ends_ms = tonumber(redis.call('ZSCORE', MISSED, ticket))
  end
  return seen
end

-- The sight of a ticket: what a buyer may know of it, and the sale around it, in one object; nil when the room knows none.
local function sight(sale, ticket)
  return tell_own(around(sale), sale, ticket)
end

-- Serve several buyers one after the other, in the order in which they came, and tell each the line as it is once all were served.
--
-- ARGV holds `fields` arguments for each buyer, the ticket id first. `serve(buyer, at)` makes what change the buyer whose arguments
-- follow ARGV[at] asks for; it gives nothing, a word that is all there is to tell, or nil and what became of the ticket.
-- Returns a list: the sale around all tickets (JSON), then for each buyer the own part of the sight (JSON), 'no_ticket', the word, or
--          'failed …' with the fault. What goes wrong with one buyer is the answer of that one alone.
local function serve_all(sale, fields, serve)
  local answers, became, buyers = {}, {}, #ARGV / fields
  local function answer(buyer, went, told)
    if not went then told = 'failed ' .. (type(told) == 'table' and told.err or tostring(told)) end
    answers[buyer + 1] = told or ''
  end

  local function tell(buyer)
    local ticket = ARGV[fields * (buyer - 1) + 1]
    local seen = tell_own({}, sale, ticket)
    if not seen then return 'no_ticket' end
    if seen.state == 'called' then redis.call('ZREM', UNSEEN, ticket) end
    if became[buyer] then seen[became[buyer]] = true end
    return cjson.encode(seen)
  end

  for buyer = 1, buyers do
    local went, word, what = pcall(serve, buyer, fields * (buyer - 1))
    answer(buyer, went, word)
    became[buyer] = what or false
  end
  answers[1] = cjson.encode(around(sale))
  for buyer = 1, buyers do
    if answers[buyer + 1] == '' then answer(buyer, pcall(tell, buyer)) end
  end
  return answers
end
