-- One short question without a stream, again and again, for wrk:
--
--     wrk -t1 -c100 -d10s --latency -s bench/wrk/short.lua http://127.0.0.1:8080
--
-- MODEL, QUESTION, TOKEN and FIELDS ("name: value|name: value") come from the environment. The last
-- line that is printed is JSON, with times in milliseconds.
local model = os.getenv("MODEL") or "gpt-4o"
local question = os.getenv("QUESTION") or "1 1"

wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. (os.getenv("TOKEN") or "none")
wrk.body = string.format(
    '{"model":"%s","messages":[{"role":"user","content":"%s"}]}', model, question)
for line in string.gmatch(os.getenv("FIELDS") or "", "[^|]+") do
  local name, value = string.match(line, "^([^:]+): *(.*)$")
  wrk.headers[name] = value
end

-- Every answer must be an answer: a fast refusal is none.
local threads = {}
function setup(thread)
  table.insert(threads, thread)
end

function init()
  wrong = 0
end

function response(status, headers, body)
  if status ~= 200 or not string.find(body, '"content"', 1, true) then
    wrong = wrong + 1
  end
end

function done(summary, latency, requests)
  local all, e = 0, summary.errors
  for _, thread in ipairs(threads) do
    all = all + thread:get("wrong")
  end
  print(string.format(
    '{"requests":%d,"seconds":%.3f,"wrong":%d,"errors":%d,"p50":%.3f,"p99":%.3f,"max":%.3f}',
    summary.requests, summary.duration / 1e6, all, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
