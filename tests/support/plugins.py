"""Plugins as their authors would write them: a project that becomes a wheel, and files for the folder."""

import subprocess
import sys
from pathlib import Path

PROJECT_TOML = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "dip-rules"
version = "1.0"

[project.entry-points."tradingbot.entries"]
DipEntry = "dip_rules:DipEntry"
BrokenEntry = "dip_rules.broken:BrokenEntry"
RSIOrBBEntryMixin = "dip_rules:DipEntry"

[project.entry-points."tradingbot.exits"]
HoldExit = "dip_rules:HoldExit"

[project.entry-points."tradingbot.brokers"]
atonce = "dip_rules.venue:AtOnce"

[tool.hatch.build.targets.wheel]
packages = ["dip_rules"]
"""

RULES = '''
from bot_runtime.indicators.windows import Sma
from bot_runtime.plugin_api import EntryPlugin, Parameter


class DipEntry(EntryPlugin):
    name = "DipEntry"
    parameters = (
        Parameter("period", 10, "bars of the average", 2, 500),
        Parameter("dip", 0.001, "fraction below the average", 0, 1),
    )

    def __init__(self, config):
        self._average = Sma(config.whole("period"))
        self._dip = config.number("dip")
        self.indicators = (self._average,)
        self.lookback = self._average.period

    def evaluate(self, view):
        return "dip" if view.close() < view.value(self._average, "sma") * (1 - self._dip) else None


class HoldExit:
    """All duties of the port by itself, with a state that has to survive a restart."""

    name = "HoldExit"
    parameters = (Parameter("bars", 5, "bars that a trade lasts", 1, 1000),)
    indicators = ()
    lookback = 0

    def __init__(self, config):
        self._bars = config.whole("bars")
        self._held = 0

    def at_signal(self, view):
        return {}

    def opened(self, position, at_signal):
        self._held = 0

    def evaluate(self, view, position):
        self._held += 1
        return "held_long_enough" if self._held >= self._bars else None

    def closed(self):
        self._held = 0

    def dump_state(self):
        return {"held": self._held}

    def load_state(self, state):
        self._held = (state or {}).get("held", 0)
'''

VENUE = '''
"""A venue that fills every order at once, at the price that it was decided at. Its commission is the document's."""

from bot_runtime.plugin_api import MarketRules, OrderReport, OrderStatus


class AtOnce:
    account = "at-once"
    live = False
    settle_seconds = 0.0
    clock_skew = None

    def __init__(self, config):
        self._commission = config.broker.commission
        self._reports = {}

    async def connect(self):
        return MarketRules()

    async def submit(self, intent, fence):
        value = intent.quantity * intent.signal_price
        report = OrderReport(
            client_order_id=intent.client_order_id,
            broker_order_id="1",
            status=OrderStatus.FILLED,
            quantity=intent.quantity,
            filled=intent.quantity,
            average_price=intent.signal_price,
            commission=self._commission * value,
            time=intent.signal_time,
        )
        return self._reports.setdefault(intent.client_order_id, report)

    async def find(self, client_order_id):
        return self._reports.get(client_order_id)

    async def cancel(self, client_order_id):
        return self._reports.get(client_order_id)

    async def orders(self, prefix, since):
        return [report for name, report in self._reports.items() if name.startswith(prefix)]

    async def holdings(self):
        return None

    def restore(self, orders):
        """It fills at once: nothing rests."""

    async def on_bar(self, bar):
        return []

    async def aclose(self):
        """Nothing is held."""
'''

STRATEGY_FILE = '''
"""Buys every tenth bar and sells five bars later."""

from bot_runtime.plugin_api import Parameter


class EveryTenth:
    name = "EveryTenth"
    entry_name = exit_name = "EveryTenth"
    parameters = (Parameter("every", 10, "bars between entries", 2, 1000),)
    indicators = ()
    first_bar = 1
    warmup = 2

    def __init__(self, config):
        self._every = config.whole("every")
        self._held = 0

    def enter(self, view):
        return "tenth" if view.time // 3_600_000 % self._every == 0 else None

    def opened(self, position):
        self._held = 0

    def exit(self, view, position):
        self._held += 1
        return "five_bars" if self._held >= 5 else None

    def closed(self):
        self._held = 0

    def dump_state(self):
        return {"held": self._held}

    def load_state(self, state):
        self._held = state.get("held", 0)


STRATEGIES = [EveryTenth]
'''
BROKEN_FILE = "import a_module_that_is_nowhere\n"


def write_project(folder: Path) -> Path:
    package = folder / "dip_rules"
    package.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT_TOML)
    (package / "__init__.py").write_text(RULES)
    (package / "venue.py").write_text(VENUE)
    (package / "broken.py").write_text("raise RuntimeError('this plugin is broken')\n")
    return folder


def install_wheel(project: Path, target: Path) -> None:
    """Build a real wheel and install it into a folder of its own, without the network."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    wheels = project / "wheels"
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", f"--wheel-dir={wheels}", str(project)]
    for command in (build, [*pip, "install", "--no-deps", "--no-index", f"--target={target}"]):
        words = command if command is build else [*command, *map(str, wheels.glob("*.whl"))]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def write_folder(folder: Path) -> Path:
    folder.mkdir()
    (folder / "every_tenth.py").write_text(STRATEGY_FILE)
    (folder / "a_broken_one.py").write_text(BROKEN_FILE)
    (folder / "_private.py").write_text("raise RuntimeError('never loaded')\n")
    return folder
