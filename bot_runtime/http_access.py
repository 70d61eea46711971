"""Who may read what over HTTP: the probes are open to all, figures and states to who has the token, where one is set.

Without a token, nothing is told to web pages: a browser on this machine must not become a door. It serves nothing.
"""

import hmac
from ipaddress import ip_address

import structlog
from aiohttp import web, web_response
from aiohttp.typedefs import Handler, Middleware

_log = structlog.get_logger(__name__)
# A request that can't be parsed is answered below the application: by a name without a version there as well.
web_response.SERVER_SOFTWARE = "tradingbot"  # type: ignore[attr-defined]
_PROBES = frozenset({"/healthz", "/readyz"})


def is_local(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Access:
    def __init__(self, token: str, *, local: bool) -> None:
        """`local`: the server listens on the loopback, where every rightful client knows it by address or localhost."""
        self._token = token.encode()
        self._local = local

    def knows(self, request: web.Request) -> bool:
        """Whether the request may see everything: it carries the token, or none is set and no web page sent it."""
        if not self._token:
            return not self._from_a_page(request)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        return same and scheme.lower() == "bearer"

    def refusal(self, request: web.Request) -> web.Response | None:
        """The answer to a request that may not see what it asks for; None for one that may."""
        if request.path in _PROBES or self.knows(request):
            return None
        if self._token:
            return _answer(401, "needs `Authorization: Bearer TOKEN`")
        return _answer(403, "web pages, and names other than localhost, are told nothing without TRADINGBOT_HTTP_TOKEN")

    def _from_a_page(self, request: web.Request) -> bool:
        """A browser sends an Origin; a page whose own name was made to point here (DNS rebinding) sends that name."""
        return "Origin" in request.headers or (self._local and not _addressed(request.host))

    def middleware(self) -> Middleware:
        """A guard for every request. What a handler raises is logged, and never answered."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            refused = self.refusal(request)
            if refused is not None:
                return refused
            try:
                return await handler(request)
            except web.HTTPException:
                raise
            except Exception:  # noqa: BLE001  # a fault of ours: the log has it
                _log.exception("http_failed", path=request.path)
                return _answer(500, "failed; the log says why")

        return guard


async def bare_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Neither who serves nor in which version, and nothing kept by whoever passes it on."""
    response.headers.pop("Server", None)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"


def _addressed(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return is_local(name)


def _answer(status: int, error: str) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004
    return web.json_response({"error": error}, status=status, headers=headers)
