"""The port to the cluster: what the operator needs of it, and no more. It knows no client."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from bot_core.models.errors import InvalidBotError, TransientError
from bot_operator.manifests import Document
from bot_operator.observed import Observed, ObservedDeployment, ObservedTradingBot


class ClusterUnavailableError(TransientError):
    """The API server did not answer, was busy, or refused for now; nothing is known about what was being written."""


class StaleLookError(TransientError):
    """The object is no longer what the write was based on: look again."""


class ThrottledError(ClusterUnavailableError):
    """The API server has too much to do. `retry_after`: the seconds that it asks for, 0 if it names none."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RefusedForNowError(ClusterUnavailableError):
    """The API server will not have this write as things are: a quota, a policy or missing rights. They may change."""


class RefusedObjectError(InvalidBotError):
    """The API server understood the object and will not have it: sending the same again won't help."""


Held: TypeAlias = Mapping[str, Any] | None


class Cluster(Protocol):
    """Reads return None or nothing for what is absent. Deletes name the uid and so never hit another object.

    Every method raises ClusterUnavailableError when the API server can't serve it now, and every write
    RefusedForNowError when it is forbidden, RefusedObjectError when the server never will have it, and StaleLookError
    when the object has changed since it was seen.
    """

    async def observe(self, bot_id: int, *, is_new: bool = False) -> Observed:
        """Everything of one bot, including an object of its name that is not ours.

        Of one that `is_new` only a TradingBot is looked for, and the rest where there is one.
        """

    async def observe_all(self, on_page: Callable[[], None] = lambda: None) -> dict[int, Observed]:
        """Everything of ours, each kind listed once; `on_page` hears that the reading gets on."""

    async def tradingbots(self) -> dict[int, ObservedTradingBot]:
        """The TradingBots of ours alone, listed once."""

    async def apply_tradingbot(self, manifest: Document, held: Held) -> ObservedTradingBot:
        """Write our own fields. `held` is the object as it was seen, None where there was none."""

    async def apply_status(self, manifest: Document, held: Held) -> ObservedTradingBot: ...

    async def apply_deployment(self, manifest: Document, held: Held) -> ObservedDeployment: ...

    async def restore_tradingbot(self, manifest: Document, held: Held) -> ObservedTradingBot:
        """Write our own fields and remove what others have written."""

    async def restore_status(self, manifest: Document, held: Held) -> ObservedTradingBot: ...

    async def restore_deployment(self, manifest: Document, held: Held) -> ObservedDeployment: ...

    async def delete_deployment(self, name: str, uid: str) -> None:
        """Delete it in the foreground: it stays, marked, until its pods have ended."""

    async def delete_tradingbot(self, name: str, uid: str) -> None: ...

    async def delete_pod(self, name: str, uid: str) -> None:
        """Delete it with its own grace time."""

    async def emit(self, event: Document) -> None: ...

    async def aclose(self) -> None: ...
