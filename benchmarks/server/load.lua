-- wrk's script: sends the requests of a file in turn, and prints what was measured as JSON.
local requests, at = {}, 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    local fields, headers = {}, {}
    for text in line:gmatch("[^\t]+") do fields[#fields + 1] = text end
    for n = 3, #fields do
      local name, value = fields[n]:match("^(.-): (.*)$")
      headers[name] = value
    end
    requests[#requests + 1] = wrk.format(fields[2], "/", headers)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\nJSON {"requests": %d, "seconds": %.6f, "failed": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration / 1e6, errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
