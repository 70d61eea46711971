"""The operator's own figures, in a registry of their own. It measures; it decides nothing."""

from collections import Counter as Count
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

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
            "Bots that are kept although the table holds no row at all",
            registry=self.registry,
        )
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

    def swept(self, phases: Iterable[str], held: int) -> None:
        """Note what a whole sweep saw: the phase of every TradingBot, and how many bots are held."""
        count = Count(phases)
        for phase in Phase:
            self._bots.labels(phase).set(count[phase])
        self._held.set(held)

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
