"""A broker that is watched: when it last answered, what it last complained of, whether it is open.

It changes no question and no answer, and asks nothing of its own accord.
"""

from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from bot_core.logs import masked
from bot_core.models.errors import first_line
from bot_runtime.brokers.base import Broker, Fence, FencedError
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.order import OrderIntent, OrderReport, RestingOrder

_T = TypeVar("_T")


class WatchedBroker:
    """`trouble` is empty once an answer has come; `answered_at` is aware UTC, None before the first answer."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.connected = False
        self.trouble = ""
        self.answered_at: datetime | None = None

    @property
    def account(self) -> str:
        return self._broker.account

    @property
    def live(self) -> bool:
        return self._broker.live

    @property
    def settle_seconds(self) -> float:
        return self._broker.settle_seconds

    @property
    def clock_skew(self) -> float | None:
        return self._broker.clock_skew

    async def connect(self) -> MarketRules:
        rules = await self._watched(self._broker.connect())
        self.connected = True
        return rules

    async def submit(self, intent: OrderIntent, fence: Fence) -> OrderReport:
        return await self._watched(self._broker.submit(intent, fence))

    async def find(self, client_order_id: str) -> OrderReport | None:
        return await self._watched(self._broker.find(client_order_id))

    async def cancel(self, client_order_id: str) -> OrderReport | None:
        return await self._watched(self._broker.cancel(client_order_id))

    async def orders(self, prefix: str, since: datetime) -> list[OrderReport]:
        return await self._watched(self._broker.orders(prefix, since))

    async def holdings(self) -> Decimal | None:
        return await self._watched(self._broker.holdings())

    def restore(self, orders: Sequence[RestingOrder]) -> None:
        self._broker.restore(orders)

    async def on_bar(self, bar: Bar) -> list[OrderReport]:
        return await self._broker.on_bar(bar)  # asks no venue anything

    async def aclose(self) -> None:
        self.connected = False
        await self._broker.aclose()

    async def _watched(self, question: Awaitable[_T]) -> _T:
        try:
            answer = await question
        except FencedError:
            raise  # it was our own lease that ran short
        except Exception as error:
            self.trouble = masked(first_line(error))
            raise
        self.trouble, self.answered_at = "", datetime.now(UTC)
        return answer
