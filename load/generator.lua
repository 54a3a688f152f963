-- Sends prepared requests in turn (a file of whole HTTP requests, separated by NUL) and tells what came of it as one line of JSON.
--
-- Arguments: file, number of the first request, how many to use, 1 to stop when all were sent once.

local ffi = require("ffi")
ffi.cdef[[
  typedef struct { long sec; long nsec; } fc_time;
  int clock_gettime(int clock, fc_time *time);
  int getpid(void);
  int kill(int pid, int signal);
]]

local function now()
  local time = ffi.new("fc_time")
  ffi.C.clock_gettime(1, time)
  return tonumber(time.sec) + tonumber(time.nsec) / 1e9
end

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local text = file:read("*a")
  file:close()
  requests, sent, began, ended, repeated = {}, 0, 0, 0, 0
  local first, most = tonumber(args[2]), tonumber(args[3])
  local at = 0
  for one in string.gmatch(text, "[^%z]+") do
    if at >= first and at < first + most then requests[#requests + 1] = one end
    at = at + 1
  end
  count = #requests
  once = args[4] == "1"
  assert(count > 0, "no requests")
end

-- After the last one it begins anew: what is sent until the run has ended is a repeat, spread over all of them.
function request()
  if sent == 0 then began = now() end
  if once and sent == count and ended == 0 then
    ended = now()
    ffi.C.kill(ffi.C.getpid(), 2) -- ends the run early, as Ctrl-C would
  end
  if not once or ended == 0 then
    sent = sent + 1
    return requests[(sent - 1) % count + 1]
  end
  repeated = repeated % count + 1
  return requests[repeated]
end

function done(summary, latency, _)
  local thread = threads[1]
  local seconds = summary.duration / 1e6
  local complete = summary.requests
  if thread:get("ended") > 0 then
    seconds = thread:get("ended") - thread:get("began")
    complete = thread:get("sent")
  end
  local errors = summary.errors
  io.write(string.format(
    '\n{"complete":%d,"seconds":%.6f,"p50_ms":%.4f,"p99_ms":%.4f,"max_ms":%.4f,"refused":%d,"broken":%d}\n',
    complete, seconds, latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
