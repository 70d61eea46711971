"""The operator's own figures, in a registry of their own. It measures; it decides nothing."""

from collections import Counter as Count
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from bot_core.models.brake import Level, Verdict
from bot_operator.rollout import Update
from bot_operator.status import Phase
from bot_operator.workqueue import Outcome

_PREFIX = "tradingbot_operator"
_STATES = {
    Update.CURRENT: "current",
    Update.UPDATING: "updating",
    Update.FAILED: "failed",
    Update.TURN: "waits_for_turn",
    Update.FLAT: "waits_until_flat",
    Update.MANUAL: "manual",
    Update.PAUSED: "paused",
}


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = self._counter("reconciles", "Looks at one bot, by how they ended", "outcome")
        self._read_failures = self._counter(
            "read_failures", "Sweeps that could not read everything, by source", "source"
        )
        self._bots = Gauge(f"{_PREFIX}_bots", "TradingBots, by phase", ["phase"], registry=self.registry)
        self._held = Gauge(
            f"{_PREFIX}_removals_held",
            "Bots that the safety brake keeps although no row asks for them",
            registry=self.registry,
        )
        self._brake = Gauge(
            f"{_PREFIX}_brake",
            "1 for what the safety brake does: off, waits (for a second reading), asks (a person)",
            ["level"],
            registry=self.registry,
        )
        self.judged(Verdict())
        self._recoveries = self._counter("recoveries", "Bots without a heartbeat, by what was done", "outcome")
        self._recoveries_held = Gauge(
            f"{_PREFIX}_recoveries_held",
            "Bots without a heartbeat that are left alone, since too many are late at once",
            registry=self.registry,
        )
        for done in ("pod_deleted", "quarantined"):
            self._recoveries.labels(done)
        self._rollout = Gauge(
            f"{_PREFIX}_rollout_bots",
            "Bots with a Deployment, by how far they are in the roll-out",
            ["state"],
            registry=self.registry,
        )
        self._paused = Gauge(
            f"{_PREFIX}_rollout_paused", "1 while the roll-out is paused for its failures", registry=self.registry
        )
        for state in _STATES.values():
            self._rollout.labels(state)
        for outcome in Outcome:
            self._reconciles.labels(outcome)
        for source in ("database", "cluster"):
            self._read_failures.labels(source)

    def reconciled(self, outcome: Outcome) -> None:
        self._reconciles.labels(outcome).inc()

    def read_failed(self, source: str) -> None:
        self._read_failures.labels(source).inc()

    def judged(self, verdict: Verdict) -> None:
        """Note what the safety brake holds."""
        self._held.set(len(verdict.held))
        for level in Level:
            self._brake.labels(level).set(level is verdict.level)

    def recovered(self, outcome: str) -> None:
        self._recoveries.labels(outcome).inc()

    def recoveries_held(self, bots: int) -> None:
        self._recoveries_held.set(bots)

    def swept(self, phases: Iterable[str]) -> None:
        """Note what a whole sweep saw: the phase of every TradingBot."""
        count = Count(phases)
        for phase in Phase:
            self._bots.labels(phase).set(count[phase])

    def rolled_out(self, counts: Mapping[Update, int], *, paused: bool) -> None:
        """Note how far the roll-out is."""
        for update, state in _STATES.items():
            self._rollout.labels(state).set(counts.get(update, 0))
        self._paused.set(paused)

    def watch(self, *, queue_depth: Callable[[], float], sweep_age: Callable[[], float]) -> None:
        """Ask for these at each scrape."""
        for name, text, read in (
            ("queue_depth", "Bots that wait to be looked at or are being looked at", queue_depth),
            ("last_sweep_age_seconds", "Seconds since the last sweep that read everything", sweep_age),
        ):
            Gauge(f"{_PREFIX}_{name}", text, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, [label], registry=self.registry)
