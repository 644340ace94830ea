-- What the program does for a request that asks nobody: GET /livez.
--
--     wrk -t1 -c100 -d10s --latency -s bench/wrk/health.lua http://127.0.0.1:8080
wrk.path = "/livez"
