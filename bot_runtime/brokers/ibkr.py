"""The broker port on Interactive Brokers, through TWS or IB Gateway and ib_async.

Our client order id travels as the order's reference, which the venue neither checks nor keeps unique: so the gateway
is asked for it before an order is placed. A gateway remembers the orders of today and those that are open, no others.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from ib_async import IB, Contract, Fill, Trade

from bot_core.models.config import BotConfig
from bot_core.models.errors import InvalidBotError
from bot_runtime.brokers.base import (
    Fence,
    FencedError,
    NotSentError,
    UnknownOutcomeError,
    VenueUnavailableError,
)
from bot_runtime.brokers.ibkr_market import GatewayMemory, chosen_account, market_rules
from bot_runtime.brokers.ibkr_orders import Traces, acknowledged, never_arrived, order_of, read_report, traces_of
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.money import ZERO, decimal_of
from bot_runtime.domain.order import OrderIntent, OrderReport
from bot_runtime.venues.ibkr_contracts import find_contract, is_pair
from bot_runtime.venues.ibkr_session import Gateway, GatewayError, IbkrSession, open_session

ACKNOWLEDGE_SECONDS = 10.0
CANCEL_SECONDS = 5.0


class IbkrBroker:
    """For one bot and symbol. `broker.testnet` means a gateway that is logged in to a paper account."""

    live = True
    settle_seconds = 60.0

    def __init__(self, config: BotConfig, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._config = config
        self._now = now
        self._paper = bool(config.broker.testnet)
        given = (config.broker.model_extra or {}).get("connection_params")
        client_id = given.get("client_id") if isinstance(given, dict) else None
        self._gateway = Gateway.from_environment(paper=self._paper, client_id=client_id)
        self._memory = GatewayMemory(config.data.interval)
        self._session: IbkrSession | None = None
        self._contract: Contract | None = None
        self._account_id = ""
        self._skew: float | None = None

    @property
    def account(self) -> str:
        return f"ibkr:{self._gateway.host}:{self._gateway.port}"

    @property
    def clock_skew(self) -> float | None:
        return self._skew

    async def connect(self) -> MarketRules:
        self._session = self._session or open_session(self._gateway)
        try:
            ib = await self._session.ready()
            self._account_id = chosen_account(ib.managedAccounts(), paper=self._paper)
            self._contract, details = await find_contract(self._session, self._config.symbol)
            self._skew = await self._measured_skew()
        except GatewayError as error:
            raise VenueUnavailableError(str(error)) from error
        return market_rules(self._contract, details)

    async def submit(self, intent: OrderIntent, fence: Fence) -> OrderReport:
        order = order_of(intent, self._account_id)
        name = intent.client_order_id
        try:
            there = await self._traces(name)
            ib = await self._open_session.ready()
        except (GatewayError, VenueUnavailableError) as error:
            raise NotSentError(f"order {name}: {error}") from error
        if there.known:
            return self._report(name, there)
        left = fence()
        if left <= 0:
            raise FencedError(f"order {name} was held back: the lease ended {-left:.1f} s ago")
        try:
            trade = ib.placeOrder(self._market, order)
        except ConnectionError as error:
            raise NotSentError(f"order {name}: the gateway at {self._gateway} is not connected") from error
        return await self._outcome(ib, trade, name)

    async def find(self, client_order_id: str) -> OrderReport | None:
        traces = await self._traces(client_order_id)
        if traces.known:
            return self._report(client_order_id, traces)
        if not self._memory.holds(client_order_id, self._now()):
            raise VenueUnavailableError(
                f"order {client_order_id} may be of an earlier day, and the gateway at {self._gateway} remembers"
                " those of today: look for it in the account's statement and correct its state in bot_orders by hand"
            )
        return None

    async def cancel(self, client_order_id: str) -> OrderReport | None:
        found = await self.find(client_order_id)
        if found is None or found.final:
            return found
        ib = await self._ready()
        trades = (await self._traces(client_order_id)).trades
        trade = next((trade for trade in trades if trade.isActive()), None)
        if trade is not None:
            if trade.order.clientId != self._gateway.client_id:
                raise InvalidBotError(
                    f"order {client_order_id} was placed with client id {trade.order.clientId}, and only that one can"
                    f" cancel it; allowed: broker.connection_params.client_id {trade.order.clientId}"
                )
            try:
                ib.cancelOrder(trade.order)
            except ConnectionError as error:
                raise VenueUnavailableError(f"the gateway at {self._gateway} is not connected") from error
            await _until(ib, trade, trade.isDone, CANCEL_SECONDS)
        return await self.find(client_order_id)

    async def orders(self, prefix: str, since: datetime) -> list[OrderReport]:
        trades, fills = await self._books()
        here = [trade for trade in trades if trade.contract.conId == self._market.conId]
        fills = [fill for fill in fills if fill.contract.conId == self._market.conId]
        names = [trade.order.orderRef for trade in here] + [fill.execution.orderRef for fill in fills]
        found = {}
        for name in dict.fromkeys(name for name in names if name.startswith(prefix)):
            traces = traces_of(name, here, fills)
            if traces.known:
                found[name] = self._report(name, traces)
        return [report for report in found.values() if not report.final or report.time >= since]

    async def holdings(self) -> Decimal | None:
        """None for currencies: what the gateway calls a position of a pair is no balance."""
        if is_pair(self._market):
            return None
        try:
            held = await self._open_session.ask("positions", lambda ib: ib.reqPositionsAsync())
        except GatewayError as error:
            raise VenueUnavailableError(str(error)) from error
        ours = [item for item in held if (item.account, item.contract.conId) == (self._account_id, self._market.conId)]
        return sum((decimal_of(item.position) for item in ours), ZERO)

    def restore(self, orders: Sequence[OrderIntent]) -> None:
        """The venue remembers them itself."""

    async def on_bar(self, bar: Bar) -> list[OrderReport]:  # noqa: ARG002  # the venue needs no bars of ours
        return []

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.aclose()

    @property
    def _open_session(self) -> IbkrSession:
        if self._session is None:
            raise VenueUnavailableError("the broker is not connected yet")
        return self._session

    @property
    def _market(self) -> Contract:
        if self._contract is None:
            raise VenueUnavailableError("the broker is not connected yet")
        return self._contract

    async def _ready(self) -> IB:
        try:
            return await self._open_session.ready()
        except GatewayError as error:
            raise VenueUnavailableError(str(error)) from error

    async def _traces(self, name: str) -> Traces:
        trades, fills = await self._books()
        return traces_of(name, trades, fills)

    async def _books(self) -> tuple[list[Trade], list[Fill]]:
        """What completed orders say comes first, then open ones, then what the gateway told this connection before.

        An order that was sent, never acknowledged and is not listed is not there, or not yet.
        """
        try:
            said = await self._open_session.orders()
            ib = await self._open_session.ready()
        except GatewayError as error:
            raise VenueUnavailableError(str(error)) from error
        return [*said.completed, *said.open, *filter(acknowledged, ib.trades())], ib.fills()

    async def _outcome(self, ib: IB, trade: Trade, name: str) -> OrderReport:
        """Wait until the gateway has said something about a new order."""
        heard = await _until(ib, trade, lambda: acknowledged(trade) or never_arrived(trade), ACKNOWLEDGE_SECONDS)
        if never_arrived(trade):
            raise NotSentError(f"order {name}: the gateway has seen its number before; the next one is higher")
        if not heard:
            raise UnknownOutcomeError(f"order {name}: no answer from the gateway at {self._gateway}")
        return self._report(name, traces_of(name, [trade], ib.fills()))

    def _report(self, name: str, traces: Traces) -> OrderReport:
        return read_report(name, traces, self._config.broker.commission, self._now())

    async def _measured_skew(self) -> float:
        """The gateway's clock has whole seconds: half a second is added to what it says."""
        before = time.time()
        said = await self._open_session.ask("time", lambda ib: ib.reqCurrentTimeAsync())
        return said.timestamp() + 0.5 - (before + time.time()) / 2


async def _until(ib: IB, trade: Trade, condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition on an order; False where the time or the connection ends first."""
    changed = asyncio.Event()

    def note(*_: object) -> None:
        changed.set()

    trade.statusEvent += note
    ib.disconnectedEvent += note
    try:
        async with asyncio.timeout(seconds):
            while not condition() and ib.isConnected():
                changed.clear()
                await changed.wait()
    except TimeoutError:
        return False
    finally:
        trade.statusEvent -= note
        ib.disconnectedEvent -= note
    return condition()
