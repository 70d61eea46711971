"""Figures of delivery, for whoever scrapes this process. The names of channels are bounded; recipients are no label."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


@dataclass
class NotificationFigures:
    """Of one dispatcher. `pending` and `oldest` are the queue's, and empty in a process that does not deliver."""

    pending: dict[str, int] = field(default_factory=dict)
    oldest: dict[str, float] = field(default_factory=dict)
    up: dict[str, bool] = field(default_factory=dict)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)

    def backlog(self, found: Mapping[str, tuple[int, float]]) -> None:
        self.pending = {name: count for name, (count, _) in found.items()}
        self.oldest = {name: age for name, (_, age) in found.items()}

    def count(self, channel: str, outcome: str, messages: int = 1) -> None:
        self.outcomes[channel, outcome] += messages

    def collect(self) -> Iterable[Metric]:
        yield _gauge("pending", "Messages that wait for a channel", self.pending)
        yield _gauge("oldest_seconds", "For how long the oldest of them has been due", self.oldest)
        up = GaugeMetricFamily(
            "tradingbot_notification_channel_up", "0 while a channel is left alone after a failure", labels=["channel"]
        )
        for channel, value in self.up.items():
            up.add_metric([channel], float(value))
        yield up
        done = CounterMetricFamily(
            "tradingbot_notifications", "Messages by what became of them", labels=["channel", "outcome"]
        )
        for (channel, outcome), count in self.outcomes.items():
            done.add_metric([channel, outcome], count)
        yield done
        commands = CounterMetricFamily(
            "tradingbot_notification_commands", "Commands from Telegram by what became of them", labels=["outcome"]
        )
        for outcome, count in self.commands.items():
            commands.add_metric([outcome], count)
        yield commands


#: Those of this process: a process has one dispatcher at the most.
FIGURES = NotificationFigures()


def collect() -> Iterable[Metric]:
    """What a scrape of this process adds; nothing where no channel was ever set up."""
    return FIGURES.collect() if FIGURES.up else ()


def _gauge(name: str, text: str, values: Mapping[str, float]) -> Metric:
    gauge = GaugeMetricFamily(f"tradingbot_notifications_{name}", text, labels=["channel"])
    for channel, value in values.items():
        gauge.add_metric([channel], value)
    return gauge
