"""Reports of orders whose fills need not be asked for again while the venue says the same of the order.

It asks nothing and forgets the oldest first.
"""

from decimal import Decimal

from bot_runtime.brokers.ccxt_reports import Order, filled
from bot_runtime.domain.order import OrderReport

_MOST = 5000


class KnownReports:
    def __init__(self) -> None:
        self._reports: dict[str, tuple[str, Decimal, OrderReport]] = {}

    def of(self, order: Order) -> OrderReport | None:
        """Return the report of an order, unless it has changed since."""
        status, done, report = self._reports.get(str(order["id"]), (None, None, None))
        return report if (status, done) == (str(order.get("status")), filled(order)) else None

    def keep(self, order: Order, report: OrderReport) -> None:
        self._reports.pop(str(order["id"]), None)
        self._reports[str(order["id"])] = (str(order.get("status")), filled(order), report)
        if len(self._reports) > _MOST:
            del self._reports[next(iter(self._reports))]
