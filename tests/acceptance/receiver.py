"""A webhook's receiver on loopback: notes what comes, and when."""

import json
import time
from typing import Any, NamedTuple

import uvicorn
from fastapi import FastAPI, Request, Response


class Received(NamedTuple):
    """One webhook: when (Unix seconds), its headers and body."""

    at: float
    headers: dict[str, str]
    body: dict[str, Any]


class Receiver:
    """`async with Receiver(port) as receiver:` answers 204 to every POST."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.received: list[Received] = []
        app = FastAPI()

        @app.post("/hook")
        async def hook(request: Request) -> Response:
            at, body = time.time(), await request.body()
            self.received.append(Received(at, dict(request.headers), json.loads(body)))
            return Response(status_code=204)

        self._server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))

    async def serve(self) -> None:
        """Until `stop`."""
        await self._server.serve()

    def stop(self) -> None:
        self._server.should_exit = True
