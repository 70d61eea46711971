"""Standing for election, and working while elected. It decides nothing (`leader` does) and knows nothing of the work.

The version of the Lease is the fence of each change: of two that take it at once, the API server refuses one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from bot_core.models.errors import FatalError, TradingBotError
from bot_operator.cluster import StaleLookError
from bot_operator.fence import Fence
from bot_operator.leader import LeaseRecord, Sighting, Step, lapses_at, next_step, sighted
from bot_operator.settings import LeaderSettings

_RETRY_SECONDS = 0.5
_log = structlog.get_logger(__name__)


class LeadershipLostError(FatalError):
    """Another process leads, or may by now: this one ends, and its supervisor starts a follower."""


class LeaseStore(Protocol):
    async def read(self) -> LeaseRecord | None: ...

    async def create(self, holder: str) -> LeaseRecord: ...

    async def write(self, old: LeaseRecord, holder: str) -> LeaseRecord: ...


class Election:
    """`identity` is this very process's: one that is started anew must not take its forerunner's Lease for its own."""

    def __init__(
        self,
        settings: LeaderSettings,
        leases: LeaseStore,
        fence: Fence,
        identity: str,
        *,
        on_tried: Callable[[bool], None] = lambda _read: None,
    ) -> None:
        self._settings = settings
        self._leases = leases
        self._fence = fence
        self._identity = identity
        self._on_tried = on_tried
        self._sighting: Sighting | None = None
        self._told = ""

    @property
    def identity(self) -> str:
        return self._identity

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait to be elected, then work. Returns when the work is done; raises LeadershipLostError."""
        held = await self._elected()
        working = asyncio.create_task(_run(work), name="work of the leader")
        renewing = asyncio.create_task(self._renew(held), name="renewal of the lease")
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            ended = renewing if renewing.done() else working
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.wait({working, renewing})
            # Only now: whoever takes it over meets no writer of this process.
            await self._release()
        await ended

    async def _elected(self) -> LeaseRecord:
        while True:
            began = self._fence.clock()
            try:
                async with asyncio.timeout(self._settings.lease_seconds):
                    held = await self._stand(began)
            except (TradingBotError, TimeoutError) as error:
                self._on_tried(False)
                _log.warning("lease_not_read", error=str(error) or "it took too long")
                held = None
            if held is not None:
                _log.info("leading", identity=self._identity, transitions=held.transitions)
                return held
            await asyncio.sleep(self._pause())

    async def _stand(self, began: float) -> LeaseRecord | None:
        """Look at the Lease and take it if it may be taken; None if it is another's."""
        lease = await self._leases.read()
        self._on_tried(True)
        self._sighting = sighted(self._sighting, lease, self._fence.clock())
        step = next_step(self._sighting, self._identity, self._settings.lease_seconds, self._fence.clock())
        if step is Step.WAIT:
            waits_for = self._sighting.lease
            self._tell(waits_for.holder if waits_for else "")
            return None
        try:
            held = await (
                self._leases.create(self._identity) if lease is None else self._leases.write(lease, self._identity)
            )
        except StaleLookError:
            return None  # another one was faster
        self._hold(held, began)
        return held

    async def _renew(self, held: LeaseRecord) -> None:
        """Renew until cancelled. Raises LeadershipLostError when another holds it, or in time before it lapses."""
        while True:
            await asyncio.sleep(self._settings.renew_seconds)
            held = await self._renewed(held)

    async def _renewed(self, held: LeaseRecord) -> LeaseRecord:
        while True:
            began, left = self._fence.clock(), self._fence.seconds_left
            if left <= 0:
                raise LeadershipLostError(
                    f"the lease could not be renewed in {self._settings.deadline_seconds:g} s: another may lead by now"
                )
            try:
                async with asyncio.timeout(left):
                    held = await self._leases.write(held, self._identity)
            except StaleLookError:
                held = await self._still_held()
            except (TradingBotError, TimeoutError) as error:
                self._on_tried(False)
                _log.warning("lease_not_renewed", error=str(error) or "it took too long", seconds_left=round(left, 1))
            else:
                self._on_tried(True)
                self._hold(held, began)
                return held
            await asyncio.sleep(min(_RETRY_SECONDS, self._settings.renew_seconds))

    async def _still_held(self) -> LeaseRecord:
        """The Lease as it is: somebody changed it, or an answer to our own change was lost.

        One that somebody deleted is made anew, while all who saw it here still wait for it to lapse.
        """
        while True:
            try:
                async with asyncio.timeout(max(self._fence.seconds_left, 0)):
                    lease = await self._leases.read()
                    if lease is None:
                        lease = await self._leases.create(self._identity)
                        _log.warning("lease_made_anew", identity=self._identity, why="somebody deleted it")
            except (TradingBotError, TimeoutError) as error:
                if not self._fence.is_open:
                    raise LeadershipLostError("the lease changed and could not be read in time") from error
                await asyncio.sleep(min(_RETRY_SECONDS, self._settings.renew_seconds))
                continue
            if lease.holder != self._identity:
                self._fence.close()
                raise LeadershipLostError(f"the lease is not ours any more; its holder: {lease.holder}")
            return lease

    async def _release(self) -> None:
        """Close the fence, then give the Lease back if it is ours still. Failing that, the next one waits a while."""
        self._fence.close()
        try:
            async with asyncio.timeout(self._settings.renew_seconds):
                lease = await self._leases.read()
                if lease is not None and lease.holder == self._identity:
                    await self._leases.write(lease, "")
                    _log.info("lease_released", identity=self._identity)
        except (TradingBotError, TimeoutError) as error:
            _log.warning("lease_not_released", error=str(error) or "it took too long")

    def _hold(self, held: LeaseRecord, began: float) -> None:
        """Counted from before the request: whoever waits for the Lease to lapse counts from after it."""
        self._fence.open_until(began + self._settings.deadline_seconds)
        self._sighting = sighted(self._sighting, held, self._fence.clock())

    def _tell(self, holder: str) -> None:
        if holder != self._told:
            self._told = holder
            _log.info("following", leader=holder, identity=self._identity)

    def _pause(self) -> float:
        """Half a renewal, or exactly until the Lease lapses, if that is sooner."""
        pause = self._settings.renew_seconds / 2
        sighting = self._sighting
        if sighting is None or sighting.lease is None or not sighting.lease.holder:
            return pause
        left = lapses_at(sighting, self._settings.lease_seconds) - self._fence.clock()
        return min(pause, left) if left > 0 else pause


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()
