"""The operator's own figures, in a registry of their own. It measures; it decides nothing.

No label's values grow with the fleet: kinds of errors are classes, codes are HTTP's.
"""

import time
from collections import Counter as Count
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bot_core.models.brake import Level, Verdict
from bot_operator.rollout import Update
from bot_operator.status import Phase
from bot_operator.workqueue import LookEnd, Outcome

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
_LOOK_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_WAIT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


class Metrics:
    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._monotonic = monotonic
        self._rows_read_at = monotonic()
        self._reconciles = self._counter("reconciles", "Looks at one bot, by how they ended", "outcome")
        self._errors = self._counter("reconcile_errors", "Looks at one bot that failed, by the kind of error", "kind")
        self._seconds = self._histogram("reconcile_seconds", "How long one look at a bot took", _LOOK_BUCKETS)
        self._applied = self._histogram(
            "applied_seconds", "From the first hint that a bot changed until it was as its row asks", _WAIT_BUCKETS
        )
        self._requests = self._counter("api_requests", "Requests to the API server", "verb", "code")
        self._watch_restarts = self._counter("watch_restarts", "Watch-streams that broke, by what did", "what")
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
        for what in ("request", "watcher"):
            self._watch_restarts.labels(what)

    def reconciled(self, end: LookEnd) -> None:
        self._reconciles.labels(end.outcome).inc()
        self._seconds.observe(end.seconds)
        if end.error:
            self._errors.labels(end.error).inc()
        if end.waited is not None:
            self._applied.observe(end.waited)

    def requested(self, verb: str, code: str) -> None:
        self._requests.labels(verb, code).inc()

    def watch_restarted(self, what: str) -> None:
        """Note that a `request` of a watch-stream failed, or that the whole `watcher` ended and is started anew."""
        self._watch_restarts.labels(what).inc()

    def read_failed(self, source: str) -> None:
        self._read_failures.labels(source).inc()

    def rows_read(self) -> None:
        self._rows_read_at = self._monotonic()

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

    def watch(
        self,
        *,
        queue_depth: Callable[[], float],
        oldest_wait: Callable[[], float],
        sweep_age: Callable[[], float],
        leads: Callable[[], bool],
    ) -> None:
        """Ask for these at each scrape."""

        def rows_age() -> float:
            return self._monotonic() - self._rows_read_at if leads() else 0.0

        for name, text, read in (
            ("queue_depth", "Bots that wait to be looked at or are being looked at", queue_depth),
            ("oldest_wake_seconds", "For how long the bot has been waiting that has waited longest", oldest_wait),
            ("last_sweep_age_seconds", "Seconds since the leader's last sweep that read everything", sweep_age),
            ("rows_age_seconds", "Age of the rows that the leader read last", rows_age),
            ("leader", "1 where this process leads", lambda: float(leads())),
        ):
            Gauge(f"{_PREFIX}_{name}", text, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", text, buckets=buckets, registry=self.registry)
