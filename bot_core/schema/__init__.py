"""All tables. Importing this package fills `metadata`."""

from bot_core.schema.base import metadata
from bot_core.schema.bots import bots
from bot_core.schema.duties import duties
from bot_core.schema.events import events
from bot_core.schema.halts import halts
from bot_core.schema.leases import leases
from bot_core.schema.limits import limits
from bot_core.schema.messages import delivery_status, messages
from bot_core.schema.orders import orders
from bot_core.schema.performance import performance_metrics
from bot_core.schema.positions import positions
from bot_core.schema.shrinks import shrinks
from bot_core.schema.state import state
from bot_core.schema.trades import trades
from bot_core.schema.users import auth_identities, users

__all__ = [
    "auth_identities", "bots", "delivery_status", "duties", "events", "halts", "leases", "limits", "messages",
    "metadata", "orders", "performance_metrics", "positions", "shrinks", "state", "trades", "users",
]  # fmt: skip
