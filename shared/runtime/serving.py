"""One service process: an HTTP application and its pipeline, started together, stopped together."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S: Final = 10  # for the request line and headers, or for the first byte of a connection
HEAD_BYTES_MAX: Final = 64 * 1024
DRAIN_S: Final = 5
Readiness = Callable[[], dict[str, str]]  # what is not ready, and why; empty: ready


def add_health(app: FastAPI, registry: CollectorRegistry, readiness: Readiness) -> None:
    """`/healthz` (alive), `/readyz` (503 and the reasons while something is missing), `/metrics`: open to all, as probes need them."""

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", tags=["health"], responses={503: {"description": "not ready: the reasons"}})
    async def readyz(response: Response) -> dict[str, object]:
        missing = readiness()
        if missing:
            response.status_code = 503
            response.headers["Retry-After"] = "1"
        return {"status": "not ready" if missing else "ready", "missing": missing}

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on a request's head: uvicorn has none, so a few slow or endless ones would hold the service."""

    _late: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._late is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._late is not None and self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._head_is_here()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        if self._late is None:
            self._head_bytes = 0
            self._late = self.loop.call_later(HEAD_TIMEOUT_S, self._refuse, b"408 Request Timeout")

    def _head_is_here(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self, status: bytes) -> None:
        self._head_is_here()
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()


class _Server(uvicorn.Server):
    """Leaves the signals to `serve`: uvicorn raises them again when it has drained, which would end the process before its pipeline."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_of(app: FastAPI, host: str, port: int) -> uvicorn.Server:
    """uvicorn as all services run it. Its `should_exit` ends it, draining requests for at most DRAIN_S."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=_Protocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=DRAIN_S,
        server_header=False,
        proxy_headers=False,  # the peer is who connects: what a header says of it is not believed
    )
    return _Server(config)


async def serve(
    app: FastAPI,
    host: str,
    port: int,
    pipeline: Callable[[], Awaitable[None]] | None = None,
    on_stop: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain requests; the pipeline runs beside. `on_stop` is called first: it ends endless streams.

    The pipeline is cancelled after the last request; if it ends by itself or fails, the server stops and the failure is raised.
    Returns, so that the caller can close what it opened.
    """
    server = server_of(app, host, port)
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        on_stop()
        server.handle_exit(number, None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        if pipeline is None:
            await server.serve()
            return
        serving = asyncio.ensure_future(server.serve())
        working = asyncio.ensure_future(pipeline())
        await asyncio.wait({serving, working}, return_when=asyncio.FIRST_COMPLETED)
        on_stop()
        server.should_exit = True
        await serving
        if not working.done():
            working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
