"""The broker port on Alpaca's trading interface (https://docs.alpaca.markets), for shares and coins.

Alpaca takes our client order id and refuses it for good once it was used, so an order can't be there twice.
This module keeps no books: what it says of an order is what Alpaca says now.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from bot_core.models.config import BotConfig
from bot_core.models.errors import InvalidBotError
from bot_runtime.brokers.alpaca_orders import Asset, order_request, read_asset, read_report, refused
from bot_runtime.brokers.base import (
    Fence,
    FencedError,
    NotSentError,
    UnknownOutcomeError,
    VenueUnavailableError,
)
from bot_runtime.brokers.credentials import find_credentials
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.money import ZERO
from bot_runtime.domain.order import OrderIntent, OrderReport, RestingOrder
from bot_runtime.venues.alpaca_address import trading_url
from bot_runtime.venues.alpaca_http import AlpacaHttp, Answer, NoAnswerError, UnreachableError
from bot_runtime.venues.alpaca_symbols import spellings

_BAD_KEY = 40110000
_PAGE = 500
_ORDERS = "/v2/orders"
_NO_CONTENT, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _LATE, _UNPROCESSABLE = 204, 401, 403, 404, 408, 422
_TOO_MANY, _SERVER_FAULT = 429, 500


class AlpacaBroker:
    """For one bot and symbol. `broker.testnet` means Alpaca's own paper account."""

    live = True
    settle_seconds = 30.0

    def __init__(self, config: BotConfig) -> None:
        self._config = config
        self._paper = bool(config.broker.testnet)
        self._keys = find_credentials("alpaca", config.credentials_secret, testnet=self._paper)
        self._http = AlpacaHttp(trading_url(paper=self._paper), self._keys)
        self._asset: Asset | None = None
        self._skew: float | None = None
        self._left_open: set[str] = set()

    @property
    def account(self) -> str:
        kind = "alpaca-paper" if self._paper else "alpaca"
        return f"{kind}:{self._config.credentials_secret or 'default'}"

    @property
    def clock_skew(self) -> float | None:
        return self._skew

    async def connect(self) -> MarketRules:
        account = await self._read("/v2/account")
        blocked = [name for name in ("account_blocked", "trading_blocked") if account.get(name)]
        if blocked:
            raise InvalidBotError(f"the account at Alpaca may not trade: {', '.join(blocked)}")
        tier = account.get("crypto_tier")
        self._asset = read_asset(await self._find_asset(), tier if isinstance(tier, int) else 1)
        self._skew = await self._measured_skew()
        return self._asset.rules

    async def submit(self, intent: OrderIntent, fence: Fence) -> OrderReport:
        body = order_request(intent, self._market)
        try:
            answer = await self._http.request("POST", _ORDERS, body=body, before=lambda: _hold_back(intent, fence))
        except UnreachableError as error:
            raise NotSentError(f"order {intent.client_order_id}: {error}") from error
        except NoAnswerError as error:
            raise UnknownOutcomeError(f"order {intent.client_order_id}: {error}") from error
        if answer.ok and answer.document is not None:
            return self._report(answer.document)
        return await self._turned_down(intent, answer)

    async def find(self, client_order_id: str) -> OrderReport | None:
        query = {"client_order_id": client_order_id}
        answer = await self._ask("GET", f"{_ORDERS}:by_client_order_id", query)
        if answer.status == _NOT_FOUND:
            return None
        report = self._report(_checked(answer, f"order {client_order_id}", self._keys.source))
        if not report.final:
            self._left_open.add(client_order_id)
        return report

    async def cancel(self, client_order_id: str) -> OrderReport | None:
        found = await self.find(client_order_id)
        if found is None or found.final:
            return found
        answer = await self._ask("DELETE", f"{_ORDERS}/{quote(found.broker_order_id)}")
        if answer.status not in (_NOT_FOUND, _UNPROCESSABLE):  # it can no longer be canceled, so it has become final
            _checked(answer, f"cancel of order {client_order_id}", self._keys.source)
        return await self.find(client_order_id)

    async def orders(self, prefix: str, since: datetime) -> list[OrderReport]:
        """Open orders, orders sent since then, and orders that this object saw open before."""
        found: dict[str, OrderReport] = {}
        for query in ({"status": "open"}, {"status": "all", "after": since.astimezone(UTC).isoformat()}):
            found |= {report.client_order_id: report for report in await self._listed(query, prefix)}
        for name in sorted(self._left_open - found.keys()):
            report = await self.find(name) if name.startswith(prefix) else None
            if report is not None:
                found[name] = report
        self._left_open = {name for name, report in found.items() if not report.final}
        return list(found.values())

    async def holdings(self) -> Decimal | None:
        answer = await self._ask("GET", f"/v2/positions/{quote(self._market.id)}")
        if answer.status == _NOT_FOUND:
            return ZERO
        return Decimal(str(_checked(answer, "position", self._keys.source)["qty"]))

    def restore(self, orders: Sequence[RestingOrder]) -> None:
        """Alpaca remembers them itself."""

    async def on_bar(self, bar: Bar) -> list[OrderReport]:  # noqa: ARG002  # the venue needs no bars of ours
        return []

    async def aclose(self) -> None:
        await self._http.aclose()

    @property
    def _market(self) -> Asset:
        if self._asset is None:
            raise VenueUnavailableError("the broker is not connected yet")
        return self._asset

    def _report(self, document: Any) -> OrderReport:
        report = read_report(document, self._market)
        if not report.final:
            self._left_open.add(report.client_order_id)
        return report

    async def _turned_down(self, intent: OrderIntent, answer: Answer) -> OrderReport:
        """What an error in answer to a new order means: it is there already, refused, not there, or nobody knows.

        A 503 may come from a proxy whose connection broke after the order had gone through.
        """
        name = f"order {intent.client_order_id}"
        if "client_order_id" in answer.message and "unique" in answer.message:
            return await self._already_there(intent.client_order_id)
        if _is_about_keys(answer):
            raise _keys_refused(self._keys.source, answer)
        if answer.status == _TOO_MANY:
            raise NotSentError(f"{name}: Alpaca turned it away: HTTP {answer.status}: {answer.message}")
        if answer.ok or answer.status >= _SERVER_FAULT or answer.status == _LATE:
            raise UnknownOutcomeError(f"{name}: Alpaca failed: HTTP {answer.status}: {answer.message}")
        return refused(intent, answer.message, datetime.now(UTC))

    async def _already_there(self, client_order_id: str) -> OrderReport:
        try:
            found = await self.find(client_order_id)
        except VenueUnavailableError as error:
            raise UnknownOutcomeError(
                f"order {client_order_id} is there already; reading it failed: {error}"
            ) from error
        if found is None:
            raise UnknownOutcomeError(f"order {client_order_id} is there already, and not found under that name")
        return found

    async def _listed(self, query: dict[str, str], prefix: str) -> list[OrderReport]:
        """All pages, oldest first; `after` excludes its instant, so pages overlap by a microsecond."""
        seen: set[str] = set()
        found = []
        query = query | {"limit": str(_PAGE), "direction": "asc", "symbols": self._market.symbol}
        while True:
            page = _checked(await self._ask("GET", _ORDERS, query), "orders", self._keys.source)
            fresh = [document for document in page if document["id"] not in seen]
            seen |= {document["id"] for document in fresh}
            found += [self._report(item) for item in fresh if str(item["client_order_id"]).startswith(prefix)]
            if len(page) < _PAGE or not fresh:
                return found
            last = datetime.fromisoformat(str(page[-1]["submitted_at"]))
            query["after"] = (last - timedelta(microseconds=1)).isoformat()

    async def _find_asset(self) -> Any:
        for symbol in spellings(self._config.symbol):
            answer = await self._ask("GET", f"/v2/assets/{quote(symbol, safe='')}")
            if answer.status != _NOT_FOUND:
                return _checked(answer, f"asset {symbol}", self._keys.source)
        message = "is not known to Alpaca; allowed: a US share such as AAPL, or a pair such as BTCUSD"
        raise InvalidBotError(f"symbol: {self._config.symbol!r} {message}")

    async def _measured_skew(self) -> float:
        before = time.time()
        said = datetime.fromisoformat(str((await self._read("/v2/clock"))["timestamp"]))
        return said.timestamp() - (before + time.time()) / 2

    async def _read(self, path: str) -> Any:
        return _checked(await self._ask("GET", path), path, self._keys.source)

    async def _ask(self, method: str, path: str, query: dict[str, str] | None = None) -> Answer:
        """Ask for something that places no order."""
        try:
            return await self._http.request(method, path, query=query)
        except (UnreachableError, NoAnswerError) as error:
            raise VenueUnavailableError(str(error)) from error


def _hold_back(intent: OrderIntent, fence: Fence) -> None:
    left = fence()
    if left <= 0:
        raise FencedError(f"order {intent.client_order_id} was held back: the lease ended {-left:.1f} s ago")


def _checked(answer: Answer, what: str, source: str) -> Any:
    if answer.ok and (answer.document is not None or answer.status == _NO_CONTENT):
        return answer.document
    if _is_about_keys(answer):
        raise _keys_refused(source, answer)
    raise VenueUnavailableError(f"{what} at Alpaca: HTTP {answer.status}: {answer.message}")


def _is_about_keys(answer: Answer) -> bool:
    forbidden = answer.status == _FORBIDDEN and (answer.code in (0, _BAD_KEY))
    return answer.status == _UNAUTHORIZED or forbidden


def _keys_refused(source: str, answer: Answer) -> InvalidBotError:
    return InvalidBotError(
        f"Alpaca refuses the keys of {source}: {answer.message}; live and paper accounts have keys of their own"
    )
