"""What stands before the endpoints: the log of requests, faults, and refusals as answers."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from support.exchange.faults import Fault, FaultKind, Faults
from support.exchange.markets import VenueError
from support.exchange.rest import FAULT

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_HANGS = frozenset({FaultKind.TIMEOUT_BEFORE, FaultKind.TIMEOUT_AFTER})
_BEFORE = frozenset({FaultKind.TIMEOUT_BEFORE, FaultKind.RESET_BEFORE, FaultKind.ERROR_BEFORE})
_LONGEST_HANG = 60.0


class Gatekeeper:
    """`requests` counts every request that came in, by method and path."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.requests: list[str] = []
        self.closing = asyncio.Event()

    def middleware(self) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if (
                request.path.startswith("/admin")
                or request.path.startswith("/ws")
                or request.path.startswith("/stream")
            ):
                return await handler(request)
            endpoint = f"{request.method} {request.path}"
            self.requests.append(endpoint)
            await request.read()
            fault = self._faults.take(endpoint)
            if fault is not None and fault.kind in _BEFORE:
                return await self._strike(request, fault)
            if fault is not None:
                request[FAULT] = fault.kind
            answer = await _answered(request, handler)
            if fault is None or fault.kind in {FaultKind.DUPLICATE_FILLS, FaultKind.LATE_FILLS}:
                return answer
            return await self._strike(request, fault)

        return guard

    async def _strike(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.kind in _HANGS:
            await self._hang(request)
        if fault.kind is FaultKind.MALFORMED_AFTER:
            return web.Response(text='{"orderId": 1001, "clientOr', content_type="application/json")
        if fault.kind in {FaultKind.ERROR_BEFORE, FaultKind.ERROR_AFTER}:
            return _error(fault)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _hang(self, request: web.Request) -> None:
        """Give no answer until the client goes away or the server closes."""
        until = asyncio.get_running_loop().time() + _LONGEST_HANG
        while request.transport is not None and not request.transport.is_closing() and not self.closing.is_set():
            if asyncio.get_running_loop().time() > until:
                break
            await asyncio.sleep(0.02)


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except VenueError as error:
        return web.json_response({"code": error.code, "msg": error.message}, status=error.status)


def _error(fault: Fault) -> web.Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.code is None:
        text = "<html><body>Bad gateway</body></html>"
        return web.Response(text=text, status=fault.status, content_type="text/html", headers=headers)
    return web.json_response({"code": fault.code, "msg": fault.message}, status=fault.status, headers=headers)
