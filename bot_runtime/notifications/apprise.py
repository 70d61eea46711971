"""The many services that Apprise knows, by addresses of the environment. Only with the extra `apprise`."""

import asyncio

import apprise

from bot_runtime.notifications.base import Delivery, Receipt, UnclearError

_TIMEOUT = 30.0


class AppriseNotifier:
    """All addresses get every message. Apprise tells no more than whether all of them took it."""

    name = "apprise"

    def __init__(self, urls: list[str]) -> None:
        self._apprise = apprise.Apprise()
        self.refused = [number for number, url in enumerate(urls, 1) if not self._apprise.add(url)]

    async def send(self, delivery: Delivery) -> Receipt:
        try:
            async with asyncio.timeout(_TIMEOUT):
                done = await self._apprise.async_notify(title=delivery.title, body=delivery.text)
        except TimeoutError:
            raise UnclearError(f"Apprise did not end in {_TIMEOUT:.0f} s") from None
        if not done:
            raise UnclearError("Apprise says that not all of its services took the message")
        return Receipt()

    async def aclose(self) -> None:
        """It keeps no connection."""
