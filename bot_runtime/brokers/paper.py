"""The paper broker: the pure venue behind the broker port. Its memory is the journal, so a restart loses nothing."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from bot_core.models.broker import SimulationConfig
from bot_runtime.brokers.base import Fence
from bot_runtime.brokers.paper_venue import PaperVenue, Simulation
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.market import MarketRules
from bot_runtime.domain.order import OrderIntent, OrderReport, RestingOrder


def simulation_of(config: SimulationConfig) -> Simulation:
    """What `broker.simulation` asks of the paper venue; the backtest asks the same of its own."""
    return Simulation(
        slippage_bps=config.slippage_bps,
        latency_seconds=config.latency_ms / 1000,
        partial_fill_probability=float(config.partial_fill_probability),
        reject_probability=float(config.reject_probability),
        seed=config.seed or 0,
    )


class PaperBroker:
    """No key, no clock, no connection: orders fill with the bars that `on_bar` is given."""

    account = "paper"
    live = False
    settle_seconds = 0.0
    clock_skew: float | None = None

    def __init__(
        self, commission: Decimal, simulation: Simulation | None = None, *, interval_seconds: float = 0
    ) -> None:
        self._venue = PaperVenue(commission, simulation, interval_seconds=interval_seconds)

    async def connect(self) -> MarketRules:
        return MarketRules()

    async def submit(self, intent: OrderIntent, fence: Fence) -> OrderReport:  # noqa: ARG002  # nothing leaves
        return self._venue.submit(intent)

    async def find(self, client_order_id: str) -> OrderReport | None:
        return self._venue.find(client_order_id)

    async def cancel(self, client_order_id: str) -> OrderReport | None:
        return self._venue.cancel(client_order_id)

    async def orders(self, prefix: str, since: datetime) -> list[OrderReport]:  # noqa: ARG002  # it keeps no past
        found = (self._venue.find(intent.client_order_id) for intent in self._venue.open_orders)
        return [report for report in found if report is not None and report.client_order_id.startswith(prefix)]

    async def holdings(self) -> Decimal | None:
        return None

    def restore(self, orders: Sequence[RestingOrder]) -> None:
        for order in orders:
            self._venue.restore(order)

    async def on_bar(self, bar: Bar) -> list[OrderReport]:
        return self._venue.match(bar)

    async def aclose(self) -> None:
        """Nothing is held."""
