"""fastapi_relay.py - a relay as one writes it in an afternoon: FastAPI, httpx, StreamingResponse.

    UPSTREAM=http://127.0.0.1:PORT/v1 uvicorn fastapi_relay:app --port PORT

It reads the service's events, looks into each for its text, as a backend does that keeps what
was said, and writes them anew. It is what bench/relay/run --with fastapi is measured beside.
"""

import json
import os

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

UPSTREAM = os.environ["UPSTREAM"]

app = FastAPI()
client = httpx.AsyncClient(
    timeout=httpx.Timeout(300.0),
    limits=httpx.Limits(max_connections=20000, max_keepalive_connections=20000))


@app.get("/livez")
async def live():
    return {"status": "ok"}


async def relay(question):
    said = []
    headers = {"authorization": "Bearer none"}
    async with client.stream("POST", f"{UPSTREAM}/chat/completions", json=question,
                             headers=headers) as answer:
        async for line in answer.aiter_lines():
            line = line.strip()
            if not line.startswith("data: "):
                continue
            data = line[len("data: "):]
            if data == "[DONE]":
                yield "data: [DONE]\n\n"
                break
            chunk = json.loads(data)
            for choice in chunk["choices"]:
                said.append(choice["delta"].get("content") or "")
            yield f"data: {json.dumps(chunk)}\n\n"


@app.post("/v1/chat/completions")
async def completions(request: Request):
    question = await request.json()
    if question.get("stream"):
        return StreamingResponse(relay(question), media_type="text/event-stream")
    answer = await client.post(f"{UPSTREAM}/chat/completions", json=question,
                               headers={"authorization": "Bearer none"})
    return JSONResponse(answer.json(), status_code=answer.status_code)
