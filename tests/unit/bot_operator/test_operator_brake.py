import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, insert, text

from bot_core.models.errors import TransientError
from bot_core.schema import bots
from bot_core.store.shrinks import ShrinkStore
from bot_operator.status import condition

if TYPE_CHECKING:
    World = Any  # the fixture's class: conftest modules are not imported by name

FLEET = 8


async def _fleet(world: "World", count: int = FLEET) -> list[int]:
    return [await world.a_running_bot() for _ in range(count)]


async def _settle(world: "World") -> None:
    """Twice: what the first look learns, the second shows."""
    for _ in range(2):
        await world.settle()
        world.seconds += 1


def _deleted(world: "World") -> list[str]:
    return [name for verb, kind, name in world.cluster.writes if (verb, kind) == ("delete", "Deployment")]


def _held(world: "World") -> list[int]:
    names = [
        name
        for name, bot in world.cluster.bots.items()
        if condition(bot.get("status", {}), "RemovalHeld").get("message")
    ]
    return sorted(int(name.removeprefix("bot-")) for name in names)


async def _code(world: "World") -> str:
    (shrink,) = await ShrinkStore(world.database).standing()
    return shrink.code


async def test_an_emptied_table_stops_nothing_says_so_on_each_bot_by_one_event_and_then_writes_nothing(
    world: "World",
) -> None:
    fleet = await _fleet(world)
    await world.delete()
    world.cluster.events.clear()
    await _settle(world)
    assert _deleted(world) == []
    assert _held(world) == fleet
    assert world.cluster.reasons() == ["RemovalHeld"]
    code = await _code(world)
    (told,) = world.cluster.events
    said = condition(world.cluster.status(fleet[0]), "RemovalHeld")["message"]
    assert (
        f"kubectl annotate --overwrite --namespace trading tradingbot bot-1 tradingbot.dev/confirm-shrink={code}"
        in said
    )
    assert f"tradingbot confirm-shrink {code}" in told["message"]
    assert b"removals_held 8.0" in world.metrics.text()
    assert b'brake{level="asks"} 1.0' in world.metrics.text()
    world.cluster.writes.clear()
    await _settle(world)
    for bot_id in fleet:
        await world.reconciler.reconcile(bot_id)
    assert world.cluster.writes == []


async def test_a_bot_that_was_stopped_before_its_row_went_is_not_started_by_the_hold(world: "World") -> None:
    fleet = await _fleet(world)
    stopped = await world.insert()
    await world.change(stopped, status="stopped", extra_metadata={"stopped_by": "request"})
    await _settle(world)
    await world.delete()
    await _settle(world)
    assert sorted(world.cluster.deployments) == [f"bot-{bot_id}" for bot_id in fleet]
    assert condition(world.cluster.status(fleet[0]), "RemovalHeld")["message"].startswith("the table of bots is empty")


async def test_a_stop_that_comes_while_a_bot_is_looked_at_passes_the_gate_too(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = await _fleet(world)
    await _settle(world)
    observe = world.cluster.observe
    crashed = json.loads((Path(__file__).parent / "pods" / "crash-loop.json").read_text())
    world.cluster.show_pod(fleet[0], crashed)  # so that its row is written to

    async def slowly(asked: int, **how: Any) -> Any:
        found = await observe(asked, **how)
        for bot_id in fleet:
            await world.change(bot_id, status="disabled")
        return found

    monkeypatch.setattr(world.cluster, "observe", slowly)
    await world.reconciler.reconcile(fleet[0])
    assert _deleted(world) == []
    assert _held(world) == [fleet[0]]


async def test_the_last_row_of_a_table_is_no_exception(world: "World") -> None:
    (bot_id,) = await _fleet(world, 1)
    await world.delete()
    await world.reconciler.reconcile(bot_id)
    world.seconds += 3600
    await _settle(world)
    assert _deleted(world) == []


async def test_a_table_that_is_gone_stops_nothing_and_every_bot_is_looked_after(world: "World") -> None:
    fleet = await _fleet(world, 2)
    await _settle(world)
    async with world.database.write() as connection:
        await connection.execute(text("ALTER TABLE trading_bots RENAME TO elsewhere"))
    await _settle(world)
    assert (_deleted(world), _held(world)) == ([], fleet)
    assert not world.health.ready
    del world.cluster.deployments["bot-1"]
    await _settle(world)
    assert "bot-1" in world.cluster.deployments


async def test_single_deletes_that_wake_one_by_one_are_judged_as_what_they_are_together(world: "World") -> None:
    fleet = await _fleet(world)
    for bot_id in fleet[:6]:
        await world.delete(bot_id)
    asked = 0

    def counted(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal asked
        asked += "trading_bots.status" in statement and "trading_bots.started_at" not in statement

    event.listen(world.database.engine.sync_engine, "before_cursor_execute", counted)
    await asyncio.gather(*(world.gate.ask() for _ in range(400)))
    assert asked == 1
    await asyncio.gather(*(world.reconciler.reconcile(bot_id) for bot_id in fleet[:6]))
    assert (_deleted(world), _held(world)) == ([], fleet[:6])


async def test_single_deletes_over_minutes_do_not_slip_through(world: "World") -> None:
    fleet = await _fleet(world, 12)
    for bot_id in fleet[:10]:
        await world.delete(bot_id)
        await world.reconciler.reconcile(bot_id)
        world.cluster.end_pods(bot_id)
        world.seconds += 20
    assert len(_deleted(world)) == 4


@pytest.mark.parametrize("values", [{"status": "disabled"}, {"status": "stopping"}, {"config": {"enabled": False}}])
async def test_rows_that_all_ask_for_a_stop_are_held_and_let_go_by_a_second_read(
    world: "World", values: dict[str, Any]
) -> None:
    fleet = await _fleet(world, 10)
    for bot_id in fleet[:5]:
        await world.change(bot_id, **values)
    await _settle(world)
    assert (_deleted(world), _held(world)) == ([], fleet[:5])
    assert world.cluster.status(1)["phase"] == "Running"
    world.seconds += 60
    await _settle(world)
    assert sorted(_deleted(world)) == [f"bot-{bot_id}" for bot_id in fleet[:5]]
    assert _held(world) == []
    assert await ShrinkStore(world.database).standing() == []


async def test_rows_that_come_back_release_the_brake_and_cost_no_pod(world: "World") -> None:
    fleet = await _fleet(world)
    rows = [await world.row(bot_id) for bot_id in fleet]
    await world.delete()
    await _settle(world)
    async with world.database.write() as connection:
        for row in rows:
            values = {"id": row.id, "user_id": row.user_id, "status": row.status, "config": row.config}
            await connection.execute(insert(bots).values(values))
    await _settle(world)
    assert (_deleted(world), _held(world)) == ([], [])
    assert b"removals_held 0.0" in world.metrics.text()
    assert b'brake{level="off"} 1.0' in world.metrics.text()
    assert await ShrinkStore(world.database).standing() == []


async def test_a_confirmed_set_goes_and_the_confirmation_is_never_met_again(world: "World") -> None:
    fleet = await _fleet(world)
    await world.insert({"enabled": False})
    for bot_id in fleet:
        await world.delete(bot_id)
    await _settle(world)
    confirmed = await ShrinkStore(world.database).confirm(await _code(world), by="anna")
    assert confirmed.confirmed_by == "anna"
    await _settle(world)
    assert sorted(_deleted(world)) == sorted(f"bot-{bot_id}" for bot_id in fleet)
    for bot_id in fleet:
        world.cluster.end_pods(bot_id)
    await _settle(world)
    assert await ShrinkStore(world.database).standing() == []


async def test_a_confirmation_of_another_set_than_the_one_that_is_held_now_is_refused(world: "World") -> None:
    fleet = await _fleet(world, 12)
    for bot_id in fleet[:8]:
        await world.delete(bot_id)
    await _settle(world)
    old = await _code(world)
    await world.delete(fleet[8])
    await _settle(world)
    with pytest.raises(Exception, match="is not held, or no more"):
        await ShrinkStore(world.database).confirm(old, by="anna")
    await _settle(world)
    assert _deleted(world) == []


async def test_an_annotation_with_the_code_lets_go_and_another_does_nothing(world: "World") -> None:
    fleet = await _fleet(world)
    await world.delete()
    await _settle(world)
    annotations = world.cluster.bots["bot-3"]["metadata"].setdefault("annotations", {})
    annotations["tradingbot.dev/confirm-shrink"] = "1-00000000"
    await _settle(world)
    assert _deleted(world) == []
    annotations["tradingbot.dev/confirm-shrink"] = await _code(world)
    await _settle(world)
    assert sorted(_deleted(world)) == sorted(f"bot-{bot_id}" for bot_id in fleet)


async def test_the_brake_survives_a_restart_of_the_operator(world: "World") -> None:
    fleet = await _fleet(world)
    await world.delete()
    await _settle(world)
    code = await _code(world)
    world.restart_operator()
    await world.reconciler.reconcile(fleet[0])
    await _settle(world)
    assert (_deleted(world), _held(world), await _code(world)) == ([], fleet, code)


async def test_growth_and_other_changes_go_on_while_the_brake_holds_and_a_crash_is_mended(world: "World") -> None:
    fleet = await _fleet(world)
    await _settle(world)
    for bot_id in fleet[:7]:
        await world.delete(bot_id)
    await _settle(world)
    added = await world.insert()
    await world.change(fleet[7], description="renamed", config={"name": "renamed"})
    await _settle(world)
    assert f"bot-{added}" in world.cluster.deployments
    assert world.cluster.bots[f"bot-{fleet[7]}"]["spec"]["name"] == "renamed"
    del world.cluster.deployments["bot-1"]
    await _settle(world)
    assert "bot-1" in world.cluster.deployments
    assert (_deleted(world), _held(world)) == ([], fleet[:7])


async def test_a_small_delete_and_a_single_stop_go_at_once(world: "World") -> None:
    fleet = await _fleet(world)
    await world.delete(fleet[0])
    await world.change(fleet[1], status="stopping")
    for bot_id in fleet[:2]:
        await world.reconciler.reconcile(bot_id)
    assert _deleted(world) == ["bot-1", "bot-2"]
    assert await ShrinkStore(world.database).standing() == []


async def test_a_row_that_is_back_before_the_gate_is_asked_is_looked_at_again(world: "World") -> None:
    (bot_id, _) = await _fleet(world, 2)
    await world.change(bot_id, status="disabled")
    record = await world.reconciler._rows.get(bot_id)
    observed = await world.cluster.observe(bot_id)
    await world.change(bot_id, status="enabled")
    with pytest.raises(TransientError, match="asks for it again"):
        await world.reconciler._hold(bot_id, record, observed)


async def test_without_the_table_of_held_sets_nothing_is_removed_and_the_way_out_is_named(world: "World") -> None:
    fleet = await _fleet(world)
    await world.delete()
    async with world.database.write() as connection:
        await connection.execute(text("DROP TABLE bot_shrinks"))
    await _settle(world)
    assert _deleted(world) == []
    assert "tradingbot db upgrade" in condition(world.cluster.status(fleet[0]), "RemovalHeld")["message"]


async def test_deployments_whose_tradingbots_are_gone_too_are_held_as_well(world: "World") -> None:
    fleet = await _fleet(world)
    await world.delete()
    world.cluster.bots.clear()
    await _settle(world)
    for bot_id in fleet:
        await world.reconciler.reconcile(bot_id)
    assert _deleted(world) == []
