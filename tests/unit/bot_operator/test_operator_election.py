"""Elections on virtual time, over a Lease in memory that refuses what comes too late, as the API server does."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from bot_operator.cluster import ClusterUnavailableError, StaleLookError
from bot_operator.election import Election, LeadershipLostError
from bot_operator.fence import Fence, NotLeaderError
from bot_operator.leader import LeaseRecord
from bot_operator.settings import LeaderSettings
from support.virtual_time import run_virtually, virtual_now

SETTINGS = LeaderSettings(enabled=True, lease_seconds=10, renew_seconds=2)


@dataclass
class _Lease:
    """What the API server keeps. `away` holds who does not reach it, or "*"; `hangs` waits instead of refusing."""

    kept: LeaseRecord | None = None
    away: set[str] = field(default_factory=set)
    hangs: bool = False
    loses_answers: bool = False
    version: int = 0

    def seen_by(self, name: str) -> "_Way":
        return _Way(self, name)


@dataclass
class _Way:
    lease: _Lease
    name: str

    async def _reach(self) -> None:
        if self.lease.away & {self.name, "*"}:
            if self.lease.hangs:
                await asyncio.sleep(3600)
            raise ClusterUnavailableError("no answer")

    async def read(self) -> LeaseRecord | None:
        await self._reach()
        return self.lease.kept

    async def create(self, holder: str) -> LeaseRecord:
        await self._reach()
        if self.lease.kept is not None:
            raise StaleLookError("it is there")
        return self._keep(LeaseRecord(holder, "", 10))

    async def write(self, old: LeaseRecord, holder: str) -> LeaseRecord:
        await self._reach()
        if self.lease.kept is None:
            raise StaleLookError("it is gone")
        if self.lease.kept.version != old.version:
            raise StaleLookError("it has changed")
        return self._keep(replace(self.lease.kept, holder=holder))

    def _keep(self, record: LeaseRecord) -> LeaseRecord:
        self.lease.version += 1
        self.lease.kept = replace(record, version=str(self.lease.version))
        if self.lease.loses_answers:
            self.lease.loses_answers = False
            raise ClusterUnavailableError("the answer was lost")
        return self.lease.kept


@dataclass
class _Process:
    name: str
    lease: _Lease
    led: list[float] = field(default_factory=list)
    ended_at: float = 0.0
    fence: Fence = field(init=False)
    task: "asyncio.Task[None]" = field(init=False)

    def start(self, work: Callable[[], Awaitable[None]] | None = None) -> "_Process":
        self.fence = Fence(virtual_now)
        election = Election(SETTINGS, self.lease.seen_by(self.name), self.fence, self.name)
        self.task = asyncio.create_task(election.lead(work or self._work), name=self.name)
        return self

    async def _work(self) -> None:
        self.led.append(virtual_now())
        try:
            await asyncio.sleep(3600)
        finally:
            self.ended_at = virtual_now()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


def _two(story: Callable[[_Lease, _Process, _Process], Awaitable[None]]) -> None:
    async def tell() -> None:
        lease = _Lease()
        first, second = _Process("a", lease).start(), _Process("b", lease)
        await asyncio.sleep(0.1)
        second.start()
        await asyncio.sleep(7.3)
        assert (len(first.led), second.led) == (1, [])
        await story(lease, first, second)
        for process in (first, second):
            await process.stop()

    run_virtually(tell())


def test_a_leader_that_stops_in_order_hands_over_at_once() -> None:
    async def story(_lease: _Lease, first: _Process, second: _Process) -> None:
        await first.stop()
        stopped = virtual_now()
        await asyncio.sleep(1.1)
        assert second.led
        assert second.led[0] <= stopped + 1

    _two(story)


def test_a_leader_that_is_killed_is_followed_when_its_lease_has_lapsed_and_not_before() -> None:
    async def story(lease: _Lease, first: _Process, second: _Process) -> None:
        lease.away = {"a"}  # as dead: it renews no more
        dead = virtual_now()
        await asyncio.sleep(12)
        assert dead + 7.9 < second.led[0] < dead + 11.1
        assert first.ended_at < second.led[0] - 2

    _two(story)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_leader_that_can_not_renew_stops_writing_before_another_may_begin(hangs: bool) -> None:
    async def story(lease: _Lease, first: _Process, second: _Process) -> None:
        lease.away, lease.hangs = {"a"}, hangs
        while first.fence.is_open:
            await asyncio.sleep(0.1)
        closed = virtual_now()
        with pytest.raises(NotLeaderError):
            first.fence.check("a write")
        await asyncio.sleep(6)
        assert closed + 2 < second.led[0]
        with pytest.raises(LeadershipLostError):
            await first.task

    _two(story)


def test_an_api_server_that_is_away_for_a_moment_costs_no_leadership() -> None:
    async def story(lease: _Lease, first: _Process, second: _Process) -> None:
        for _ in range(5):
            lease.away = {"*"}
            await asyncio.sleep(4)
            lease.away = set()
            await asyncio.sleep(4)
        assert first.fence.is_open
        assert not second.led

    _two(story)


def test_a_renewal_whose_answer_was_lost_is_found_to_be_our_own() -> None:
    async def story(lease: _Lease, first: _Process, second: _Process) -> None:
        lease.loses_answers = True
        await asyncio.sleep(20)
        assert first.fence.is_open
        assert not second.led

    _two(story)


def test_a_leader_whose_lease_was_taken_ends_at_its_next_renewal_and_takes_nothing_back() -> None:
    async def story(lease: _Lease, first: _Process, second: _Process) -> None:
        await second.stop()
        assert lease.kept is not None
        await lease.seen_by("thief").write(lease.kept, "thief")
        await asyncio.sleep(3)
        with pytest.raises(LeadershipLostError):
            await first.task
        assert not first.fence.is_open
        assert lease.kept.holder == "thief"

    _two(story)


@pytest.mark.parametrize("hangs", [False, True])
def test_of_a_deleted_lease_nobody_is_the_second_leader(hangs: bool) -> None:
    async def story(lease: _Lease, first: _Process, second: _Process) -> None:
        lease.kept = None
        lease.away, lease.hangs = {"a"}, hangs  # so that it can't even learn of it
        while first.fence.is_open:
            assert not second.led
            await asyncio.sleep(0.1)
        await asyncio.sleep(10)
        assert second.led

    _two(story)


@pytest.mark.parametrize("with_follower", [False, True])
def test_a_leader_makes_a_deleted_lease_anew_and_leads_on(with_follower: bool) -> None:
    async def story(lease: _Lease, first: _Process, second: _Process) -> None:
        if not with_follower:
            await second.stop()
        for _ in range(3):
            lease.kept = None
            await asyncio.sleep(30)
            assert first.fence.is_open
        assert lease.kept is not None
        assert lease.kept.holder == "a"
        assert not second.led

    _two(story)


def test_of_two_that_take_a_lease_at_once_one_leads() -> None:
    async def tell() -> None:
        lease = _Lease(LeaseRecord("dead", "1", 10), version=1)
        processes = [_Process(name, lease).start() for name in "abcdefgh"]
        await asyncio.sleep(15)
        assert sum(len(process.led) for process in processes) == 1
        for process in processes:
            await process.stop()
        assert lease.kept is not None
        assert not lease.kept.holder

    run_virtually(tell())


def test_an_error_of_the_work_ends_the_leadership_in_order() -> None:
    async def tell() -> None:
        lease = _Lease()

        async def work() -> None:
            await asyncio.sleep(1)
            raise ValueError("a bug")

        with pytest.raises(ValueError, match="a bug"):
            await _Process("a", lease).start(work).task
        assert lease.kept is not None
        assert not lease.kept.holder

    run_virtually(tell())


@pytest.mark.parametrize(
    ("lease", "renew", "good"), [(10, 2, True), (10, 3.5, True), (6, 2.1, True), (10, 4, False), (3, 2, False)]
)
def test_renewals_that_come_too_late_are_refused_as_settings(lease: int, renew: float, good: bool) -> None:
    if good:
        LeaderSettings(lease_seconds=lease, renew_seconds=renew)
    else:
        with pytest.raises(ValueError, match="renewSeconds must be at most"):
            LeaderSettings(lease_seconds=lease, renew_seconds=renew)
