"""A fleet in memory below the operator's own plans: pods that come up or don't, an operator that may die anywhere."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from bot_core.models.figures import OpenPosition
from bot_operator.actions import ApplyDeployment, ApplyTradingBot, EmitEvent, PatchStatus, WriteRowError
from bot_operator.manifests import fleet_revision
from bot_operator.naming import RESUME_ROLLOUT, REVISION, TEMPLATE_HASH
from bot_operator.observed import Observed, ObservedPod
from bot_operator.plan import plan_bot
from bot_operator.record import BotRecord, Circumstances
from bot_operator.rollout import place_count
from bot_operator.settings import OperatorSettings
from bot_operator.standing import Standing, stand
from bot_operator.trouble import Trouble
from bot_operator.waves import Waves
from support.operator_builders import NOW, RowBuilder, a_bot, a_document, a_row, applied_by_us, some_settings


def settings_of(version: int, **rollout: Any) -> OperatorSettings:
    bot = {"image": f"registry.example.com/bot-runtime:{version}", "serviceAccountName": "fleet-bot"}
    return some_settings(bot=bot, rollout=rollout)


@dataclass
class SimulatedBot:
    row: RowBuilder
    observed: Observed
    version: int = 0
    up: bool = True
    _read: tuple[RowBuilder, BotRecord] | None = None

    @property
    def record(self) -> BotRecord:
        """Read once for each state of the row, as reading a document takes its time."""
        if self._read is None or self._read[0] is not self.row:
            self._read = (self.row, self.row.record())
        return self._read[1]


@dataclass
class SimulatedFleet:
    """`bad` are the versions and bots that don't go together; `down` the bots that are down for the roll-out's sake."""

    count: int
    rollout: dict[str, Any] = field(default_factory=dict)
    bad: set[tuple[int, int]] = field(default_factory=set)
    policies: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = NOW
        self.version = 0
        self.versions = [settings_of(version, **self.rollout) for version in range(3)]
        self.down: set[int] = set()
        self.most_down = 0
        self.touched: list[int] = []
        self.events: list[tuple[int, str]] = []
        self.bots = {bot_id: self._made(bot_id) for bot_id in range(1, self.count + 1)}
        self.restart_operator()

    @property
    def settings(self) -> OperatorSettings:
        return self.versions[self.version]

    @property
    def places(self) -> int:
        return place_count(self.count, self.settings.rollout)

    # The operator.

    def restart_operator(self) -> None:
        """Everything in memory is lost, also what is half done."""
        self.woken: list[int] = []
        self.looks: dict[int, Generator[None, None, None]] = {}
        self.sweeping: tuple[int, dict[int, Standing]] | None = None
        self.waves = Waves(self.settings, lambda bot_id: None if bot_id is None else self.woken.append(bot_id))

    def change_to(self, version: int) -> None:
        """Another release of the chart, which starts the operator anew."""
        self.version = version
        self.restart_operator()

    def step_look(self, bot_id: int) -> None:
        """Begin to look at a bot, or go on by one action."""
        look = self.looks.setdefault(bot_id, self._look(bot_id))
        if next(look, "ended") == "ended":
            del self.looks[bot_id]
        self._count()

    def look(self, bot_id: int) -> None:
        self.step_look(bot_id)
        while bot_id in self.looks:
            self.step_look(bot_id)

    def begin_sweep(self) -> None:
        mark = self.waves.mark()
        found = {bot_id: self._standing(bot_id) for bot_id in self.bots}
        self.sweeping = mark, {bot_id: it for bot_id, it in found.items() if it is not None}

    def end_sweep(self) -> None:
        if self.sweeping is not None:
            mark, standings = self.sweeping
            self.sweeping = None
            self.waves.swept(standings, mark)

    def sweep(self) -> None:
        """A whole sweep, and a look at every bot that is not looked at."""
        self.begin_sweep()
        self.end_sweep()
        for bot_id in self.bots:
            self.look(bot_id)

    def _look(self, bot_id: int) -> Generator[None, None, None]:
        bot, waves = self.bots[bot_id], self.waves
        with waves.looking(bot_id):
            yield  # the reading takes a while
            observed = bot.observed
            turn = waves.take(bot_id, self._standing(bot_id))
            around = Circumstances(self.settings, self.now, may_roll=turn.may_roll, rollout_paused=turn.paused)
            for _ in range(4):
                actions = plan_bot(bot.record, bot.observed, around)
                if not actions:
                    return
                for action in actions:
                    yield
                    self._apply(bot_id, action)
            raise AssertionError(f"bot {bot_id} does not settle: {observed}")

    def _apply(self, bot_id: int, action: object) -> None:
        bot = self.bots[bot_id]
        tradingbot, deployment = bot.observed.bot, bot.observed.deployment
        assert tradingbot is not None
        assert deployment is not None
        match action:
            case ApplyTradingBot(manifest):
                bot.observed = replace(
                    bot.observed, bot=replace(tradingbot, spec=manifest["spec"], document=applied_by_us(manifest))
                )
            case PatchStatus(manifest):
                bot.observed = replace(bot.observed, bot=replace(tradingbot, status=manifest["status"]))
            case ApplyDeployment(manifest):
                notes = manifest["metadata"]["annotations"]
                made = replace(
                    deployment,
                    template_hash=notes[TEMPLATE_HASH],
                    revision=notes[REVISION],
                    document=applied_by_us(manifest),
                    seen=False,
                    rolled=False,
                )
                bot.observed = replace(bot.observed, deployment=made)
                bot.version = self.version
                if bot.up:
                    self.down.add(bot_id)
                self.touched.append(bot_id)
            case WriteRowError(message):
                bot.row = bot.row.says("error", last_error=message)
            case EmitEvent(reason):
                self.events.append((bot_id, reason))
            case _:
                raise AssertionError(f"nothing else is to be done in a roll-out: {action}")

    def _standing(self, bot_id: int) -> Standing | None:
        bot = self.bots[bot_id]
        return stand(bot.record, bot.observed, self.settings, self.now)

    def step(self, what: str, number: int) -> None:
        """One of the things that happen, to the bot of that number where it concerns one."""
        happenings: dict[str, Callable[[], None]] = {
            "look": lambda: self.step_look(number),
            "whole look": lambda: self.look(number),
            "pod": lambda: self.step_pod(number),
            "begin sweep": self.begin_sweep,
            "end sweep": self.end_sweep,
            "die": self.restart_operator,
            "change": lambda: self.change_to(number % 3),
            "time": lambda: self.wait(60 * number),
            "restart": lambda: self.ask_restart(number),
            "hold": lambda: self.hold(number, position=number % 2 == 0),
        }
        happenings[what]()

    def ask_restart(self, bot_id: int) -> None:
        self.bots[bot_id].row = self.bots[bot_id].row.says("restarting")

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # The cluster.

    def step_pod(self, bot_id: int) -> None:
        """What controllers, kubelet and runtime do next: the old pod goes, a new one comes, it runs or fails."""
        bot = self.bots[bot_id]
        deployment, pod = bot.observed.deployment, bot.observed.pod
        assert deployment is not None
        name = f"bot-{bot_id}-{deployment.template_hash[:8]}"
        good = (bot.version, bot_id) not in self.bad
        if not deployment.seen:
            bot.observed = replace(bot.observed, deployment=replace(deployment, seen=True), pods=())
            bot.row, bot.up = bot.row.says("stopped", stopped_by="shutdown"), False
        elif pod is None or pod.name != name:
            new = ObservedPod(name=name, created="2026-03-01T12:00:00Z", started=True)
            bot.observed = replace(bot.observed, deployment=replace(deployment, rolled=True), pods=(new,))
            bot.row = bot.row.says("starting")
        elif pod.ready and bot.row.row.status == "restarting":
            bot.row = bot.row.says("running", restarted_at=self.now.isoformat())
        elif not good:
            bot.observed = replace(bot.observed, pods=(replace(pod, trouble=Trouble("CrashLoopBackOff")),))
        elif not pod.ready:
            bot.observed = replace(bot.observed, pods=(replace(pod, ready=True, trouble=None),))
            bot.row, bot.up = bot.row.says("running"), True
            self.down.discard(bot_id)
        self._count()

    def forgive(self) -> None:
        """What a person does who lets a paused roll-out go on."""
        revision = fleet_revision(self.settings)
        for bot_id in self.waves.rollout.failed:
            bot = self.bots[bot_id]
            assert bot.observed.bot is not None
            annotated = replace(bot.observed.bot, annotations={RESUME_ROLLOUT: revision})
            bot.observed = replace(bot.observed, bot=annotated)
            self.down.discard(bot_id)

    def settle(self, rounds: int = 60) -> None:
        """Time goes on, for everybody, until nothing moves any more."""
        for _ in range(rounds):
            before = {bot_id: bot.observed for bot_id, bot in self.bots.items()}
            self.sweep()
            for bot_id in self.bots:
                self.step_pod(bot_id)
            self.now += timedelta(seconds=30)
            if before == {bot_id: bot.observed for bot_id, bot in self.bots.items()}:
                return

    def words(self) -> dict[int, str]:
        """The column UPDATE."""
        return {
            bot_id: str(bot.observed.bot.status.get("update")) for bot_id, bot in self.bots.items() if bot.observed.bot
        }

    def hold(self, bot_id: int, *, position: bool) -> None:
        bot = self.bots[bot_id]
        held = None
        if position:
            row = bot.row.holding("1", "2000")
            held = row.figures.position
        bot.row = replace(bot.row, figures=replace(bot.row.figures, position=held))
        assert held is None or isinstance(held, OpenPosition)

    def _made(self, bot_id: int) -> SimulatedBot:
        document = a_document(update_policy=self.policies.get(bot_id, "now"))
        row = a_row(bot_id).with_config(document).says("running")
        cluster = replace(a_bot(bot_id, row), settings=settings_of(0, **self.rollout)).running()
        bot = SimulatedBot(row, cluster.observed)
        if (0, bot_id) in self.bad:
            pod = replace(cluster.observed.pods[0], ready=False, trouble=Trouble("CrashLoopBackOff"))
            bot.observed, bot.up = replace(cluster.observed, pods=(pod,)), False
        return bot

    def _count(self) -> None:
        self.most_down = max(self.most_down, len(self.down))
