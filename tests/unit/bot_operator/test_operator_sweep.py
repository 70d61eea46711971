"""That a look at a large fleet leaves room for what else the process has to do, such as to renew its Lease."""

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from bot_operator import manifests, sweep, turns
from bot_operator.manifests import fleet_revision
from bot_operator.turns import in_turns
from support.operator_builders import some_settings

if TYPE_CHECKING:
    World = Any  # the fixture's class: conftest modules are not imported by name


async def test_whoever_waits_has_a_turn_between_two_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PIECE_SECONDS", 0.0)
    heard: list[str] = []
    others = asyncio.create_task(_hear(heard, "another", times=3))
    async for number in in_turns(range(3)):
        heard.append(f"{number}")  # noqa: PERF401  # others append meanwhile
    await others
    assert heard == ["another", "0", "another", "1", "another", "2"]


@pytest.mark.parametrize("part", ["stand", "plan_bot"])
async def test_a_sweep_stops_for_others_and_is_alive_as_long_as_it_gets_on(
    world: "World", monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    for _ in range(4):
        await world.a_running_bot()
    monkeypatch.setattr(turns, "PIECE_SECONDS", 0.0)
    heard: list[str] = []
    real = getattr(sweep, part)

    def slow(*given: Any) -> Any:
        assert world.health.alive
        world.seconds += 60
        heard.append("a bot")
        return real(*given)

    monkeypatch.setattr(sweep, part, slow)
    others = asyncio.create_task(_hear(heard, "another", times=10**9))
    assert await world.sweep.everything()
    others.cancel()
    bots = [index for index, what in enumerate(heard) if what == "a bot"]
    assert len(bots) == 4
    assert all("another" in heard[one:other] for one, other in pairwise(bots))
    assert world.health.alive


async def test_a_sweep_whose_reading_takes_long_is_alive_too(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    await world.a_running_bot()
    real_rows, real_cluster = world.sweep._rows.all, world.cluster.observe_all

    async def slow_rows() -> Any:
        world.seconds += 80
        return await real_rows()

    async def slow_cluster(on_page: Any) -> Any:
        for _ in range(3):
            assert world.health.alive
            world.seconds += 80
            on_page()
        return await real_cluster(on_page)

    monkeypatch.setattr(world.sweep._rows, "all", slow_rows)
    monkeypatch.setattr(world.cluster, "observe_all", slow_cluster)
    assert await world.sweep.everything()


def test_what_the_fleet_has_in_common_is_rendered_once_for_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[object] = []
    real = manifests.build_pod_template
    monkeypatch.setattr(manifests, "build_pod_template", lambda *given: rendered.append(given) or real(*given))
    settings, others = some_settings(), some_settings(bot={"image": "another:1", "serviceAccountName": "fleet-bot"})
    assert fleet_revision(settings) == fleet_revision(settings)
    assert len(rendered) == 1
    assert fleet_revision(others) != fleet_revision(settings) == fleet_revision(some_settings())


async def _hear(heard: list[str], what: str, *, times: int) -> None:
    for _ in range(times):
        heard.append(what)
        await asyncio.sleep(0)
