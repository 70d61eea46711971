"""The paper broker: the pure venue behind the broker port. Its memory is the journal, so a restart loses nothing."""

from collections.abc import Sequence

from bot_core.models.broker import BrokerConfig
from bot_runtime.brokers.paper_venue import PaperVenue
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.order import Fill, OrderIntent


class PaperBroker:
    def __init__(self, config: BrokerConfig) -> None:
        self._venue = PaperVenue(config.commission)

    async def submit(self, intent: OrderIntent) -> str:
        self._venue.submit(intent)
        return f"paper-{intent.client_order_id}"

    async def knows(self, client_order_id: str) -> bool:
        return any(order.client_order_id == client_order_id for order in self._venue.open_orders)

    def restore(self, orders: Sequence[OrderIntent]) -> None:
        for order in orders:
            self._venue.submit(order)

    async def fills(self, bar: Bar) -> list[Fill]:
        return self._venue.match(bar)

    async def aclose(self) -> None:
        """Nothing is held."""
