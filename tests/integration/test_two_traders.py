"""Two processes that both want to trade one live bot, a hundred rounds of kills and pauses.

A pause outlasts the lease, and may fall right between the last look at it and the sending of an order. The stand-in
takes a client order id again once the earlier order is final, as Binance does: nothing but the bot keeps it single.
"""

import asyncio
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot_core.store.database import Database
from support.bots import insert_bot
from support.exchange.server import ExchangeProcess
from support.live_world import LiveWorld, a_live_document, disagreements
from support.postgres import PostgresServer
from support.service import Service

WORLDS = 8
ROUNDS = 13
LEASE_SECONDS = 6.0
WORKING = ("intended", "submitted", "unknown")


class Rivals:
    """`round` does something cruel to one of them, and then finds venue and tables in agreement."""

    def __init__(self, world: LiveWorld, bot_id: int, seed: int) -> None:
        self.world = world
        self.bot_id = bot_id
        self.dice = random.Random(seed)
        self.flag = world.folder / "pause-before-send"
        world.environment["PAUSE_BEFORE_SEND"] = str(self.flag)
        given = os.environ.get("PYTHONPATH", "")
        world.environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), given])
        self.processes = [self.begin(), self.begin()]
        self.struck: list[str] = []
        # All worlds start at once, which on a busy machine alone takes a minute.
        world.wait(lambda: self.epoch > 0, "the first holder", 300)

    def begin(self) -> Service:
        return self.world.start("run", str(self.bot_id), module="support.pausing_bot")

    @property
    def holder(self) -> Service | None:
        """Who trades now, as the lease says."""
        rows = self.world.rows("SELECT holder FROM bot_leases WHERE bot_id = :bot", bot=self.bot_id)
        return next((p for p in self.processes for r in rows if f":{p.process.pid}:" in r["holder"]), None)

    @property
    def epoch(self) -> int:
        rows = self.world.rows("SELECT epoch FROM bot_leases WHERE bot_id = :bot", bot=self.bot_id)
        return int(rows[0]["epoch"]) if rows else 0

    @property
    def trades(self) -> int:
        return len(self.world.orders(self.bot_id, purpose="exit", state="filled"))

    def round(self) -> None:
        before = self.trades
        self.world.wait(lambda: self.trades > before, "a whole trade", 120)
        time.sleep(self.dice.uniform(0.0, 3.0))
        way = self.dice.choice(["kill", "pause", "pause_before_send", "pause_before_send", "terminate"])
        self.struck.append(way)
        getattr(self, way)()
        self.agree()

    def kill(self) -> None:
        victim = self.victim()
        victim.kill()
        self.replace(victim)

    def terminate(self) -> None:
        victim = self.victim()
        victim.stop(signal.SIGTERM)
        self.replace(victim)

    def pause(self) -> None:
        victim, epoch = self.victim(), self.epoch
        victim.process.send_signal(signal.SIGSTOP)
        self.outlast(victim, epoch)

    def pause_before_send(self) -> None:
        """The process stops itself; whoever it is, the other one has taken over when it goes on."""
        epoch = self.epoch
        self.flag.write_text(self.dice.choice(["side=BUY", "side=SELL type=MARKET", "side=SELL type=STOP"]))
        stopped = self.world.wait(lambda: next((p for p in self.processes if is_stopped(p)), None), "a pause")
        self.outlast(stopped, epoch)

    def outlast(self, victim: Service, epoch: int) -> None:
        self.world.wait(lambda: self.epoch > epoch, "another holder", timeout=60)
        # Soon, while the other one still waits for a late order; or after it has sent the same order itself.
        time.sleep(self.dice.choice([0.0, 1.0, 9.0]))
        victim.process.send_signal(signal.SIGCONT)

    def victim(self) -> Service:
        return self.holder or self.processes[0]

    def replace(self, old: Service) -> None:
        self.processes[self.processes.index(old)] = self.begin()

    def agree(self) -> None:
        """Hold entries, wait until nothing is on its way, compare, and let them trade again."""
        self.world.rows(
            "INSERT INTO bot_halts (scope, target_id, flatten, created_by, created_at) "
            "VALUES ('bot', :bot, false, 'test', now())",
            bot=self.bot_id,
        )
        self.world.wait(lambda: any(p.bot(self.bot_id).get("halted") for p in self.processes), "a halted bot", 60)
        self.world.wait(lambda: self.quiet() and disagreements(self.world, self.bot_id) == [], self.why(), 60)
        self.world.rows("UPDATE bot_halts SET cleared_at = now() WHERE cleared_at IS NULL")

    def quiet(self) -> bool:
        orders = self.world.orders(self.bot_id)
        pending = [o for o in orders if o["state"] in (*WORKING, "open") and o["purpose"] != "protective"]
        return not pending and not any(o["state"] in WORKING for o in orders)

    def why(self) -> str:
        return f"agreement of venue and tables after {self.struck[-1]} (round {len(self.struck)})"


def is_stopped(service: Service) -> bool:
    stat = Path(f"/proc/{service.process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def play(folder: Path, postgres: PostgresServer, template: str, seed: int) -> dict[str, int]:
    name = postgres.create_database(template)
    url = postgres.url(name)
    try:
        with ExchangeProcess() as exchange:
            world = LiveWorld(folder, url, exchange, TRADINGBOT_LEASE_SECONDS=str(LEASE_SECONDS))
            try:
                rivals = Rivals(world, asyncio.run(_insert(url)), seed)
                for _ in range(ROUNDS):
                    rivals.round()
                ids = [order["clientOrderId"] for order in world.venue_orders(rivals.bot_id)]
                return {"orders": len(ids), "names": len(set(ids)), "epochs": rivals.epoch}
            finally:
                for service in world.services:
                    if service.process.poll() is None:
                        os.kill(service.process.pid, signal.SIGCONT)
                world.close()
    finally:
        postgres.drop_database(name)


async def _insert(url: str) -> int:
    database = Database(url)
    try:
        return await insert_bot(database, a_live_document(hold_bars=1))
    finally:
        await database.aclose()


@pytest.mark.slow
@pytest.mark.postgres
def test_two_processes_of_one_bot_never_give_an_intent_two_orders(
    postgres: PostgresServer, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with ThreadPoolExecutor(WORLDS) as pool:
        games = [
            pool.submit(play, tmp_path_factory.mktemp(f"world-{seed}"), postgres, migrated_template, seed)
            for seed in range(WORLDS)
        ]
        outcomes = [game.result() for game in games]
    for outcome in outcomes:
        assert outcome["orders"] == outcome["names"], "an id was taken twice by the venue"
        assert outcome["orders"] > ROUNDS
        assert outcome["epochs"] > ROUNDS / 2, "the lease went from hand to hand"
