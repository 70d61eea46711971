"""The port to the cluster: what the operator needs of it, and no more. It knows no client."""

from typing import Protocol

from bot_core.models.errors import InvalidBotError, TransientError
from bot_operator.manifests import Document
from bot_operator.observed import Observed, ObservedDeployment, ObservedTradingBot


class ClusterUnavailableError(TransientError):
    """The API server did not answer, was busy, or refused for now; nothing is known about what was being written."""


class RefusedObjectError(InvalidBotError):
    """The API server understood the object and will not have it: sending the same again won't help."""


class Cluster(Protocol):
    """Reads return None or nothing for what is absent. Deletes name the uid and so never hit another object.

    Every method raises ClusterUnavailableError when the API server can't serve it now, and every write
    RefusedObjectError when it never will.
    """

    async def observe(self, bot_id: int) -> Observed:
        """Everything of one bot, including an object of its name that is not ours."""

    async def observe_all(self) -> dict[int, Observed]:
        """Everything of ours, each kind listed once."""

    async def apply_tradingbot(self, manifest: Document) -> ObservedTradingBot: ...

    async def apply_status(self, manifest: Document) -> ObservedTradingBot: ...

    async def apply_deployment(self, manifest: Document) -> ObservedDeployment: ...

    async def delete_deployment(self, name: str, uid: str) -> None:
        """Delete it in the foreground: it stays, marked, until its pods have ended."""

    async def delete_tradingbot(self, name: str, uid: str) -> None: ...

    async def delete_pod(self, name: str, uid: str) -> None:
        """Delete it with its own grace time."""

    async def emit(self, event: Document) -> None: ...

    async def aclose(self) -> None: ...
