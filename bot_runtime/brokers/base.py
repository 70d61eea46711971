"""The broker port: what the engine asks of whoever executes orders.

| method | duty |
|---|---|
| `submit` | send an order under its client order id, once however often it is called; return the venue's own id |
| `knows` | whether the venue has seen this client order id |
| `restore` | on start: orders that the journal says the venue holds; a venue with a memory ignores them |
| `fills` | what has filled since the last call, given the newest bar |
| `aclose` | let go of connections |

A time-out is no refusal: `submit` raises UnknownOutcomeError, and the engine asks `knows` before anything else.
"""

from collections.abc import Sequence
from typing import Protocol

from bot_core.models.errors import TransientError
from bot_runtime.domain.bar import Bar
from bot_runtime.domain.order import Fill, OrderIntent


class UnknownOutcomeError(TransientError):
    """It is not known whether the venue has the order."""


class Broker(Protocol):
    async def submit(self, intent: OrderIntent) -> str: ...
    async def knows(self, client_order_id: str) -> bool: ...
    def restore(self, orders: Sequence[OrderIntent]) -> None: ...
    async def fills(self, bar: Bar) -> list[Fill]: ...
    async def aclose(self) -> None: ...
