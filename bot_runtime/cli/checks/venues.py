"""Whether the venues of the bots answer, have their symbols, and agree on the time. Public requests alone, no key."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from bot_core.models.bot import desired_state
from bot_core.models.config import BotConfig
from bot_core.models.errors import InvalidBotError, TransientError, first_line
from bot_core.models.exchanges import CCXT_EXCHANGES
from bot_runtime.cli.checks.base import Case, Finding, failed, ok, warning
from bot_runtime.feeds.live_feed import LiveFeed
from bot_runtime.feeds.market_source import MarketSource
from bot_runtime.feeds.registry import build_feed

_MUCH_SKEW = 1.0
_SECONDS = 10.0
_CLOCK = "Synchronise the clock by NTP: bars are closed, and orders are dropped, by the venue's clock."
_REACH = "Look at the network, a firewall or a proxy (HTTPS_PROXY), and at the venue's own page of its state."
_SYMBOL = "Change the row to a symbol that the venue has."


async def check_venues(case: Case) -> Sequence[Finding]:
    """One question a market, venue by venue at once."""
    markets: dict[str, dict[Any, tuple[MarketSource, int]]] = defaultdict(dict)
    findings: list[Finding] = []
    for patient in await case.patients():
        if patient.config is None or not desired_state(patient.facts.row).run:
            continue
        try:
            for feed in _feeds(patient.config):
                markets[feed.key.venue].setdefault(feed.key, (feed.source(), patient.id))
        except InvalidBotError as error:
            findings.append(failed(str(error), _SYMBOL, patient.id))
    asked = await asyncio.gather(*(_ask(venue, [*found.values()]) for venue, found in markets.items()))
    findings += [finding for found in asked for finding in found]
    return findings or [ok("no bot uses a venue: bars come from files or are generated")]


def _feeds(config: BotConfig) -> list[LiveFeed]:
    """The market that bars come from, and that of live orders where it is another one."""
    data = config.data.model_dump(exclude_none=True)
    feeds = [build_feed(data, config.symbol)]
    broker = config.broker
    if broker.trading_mode == "live" and broker.type in {"binance", *CCXT_EXCHANGES}:
        orders = {"data_source": broker.type, "interval": data["interval"], "testnet": bool(broker.testnet)}
        feeds.append(build_feed(orders, config.symbol))
    return [feed for feed in feeds if isinstance(feed, LiveFeed)]


async def _ask(venue: str, markets: list[tuple[MarketSource, int]]) -> list[Finding]:
    findings, known, skew = [], [], None
    for source, bot_id in markets:
        try:
            async with asyncio.timeout(_SECONDS):
                await source.connect()
            known.append(source.key.symbol)
            skew = source.clock_skew if source.clock_skew is not None else skew
        except InvalidBotError as error:
            findings.append(failed(f"{venue}: {first_line(error)}", _SYMBOL, bot_id))
        except (TransientError, TimeoutError, OSError) as error:
            what = first_line(error) if str(error) else f"no answer in {_SECONDS:g} s"
            findings.append(failed(f"{venue} can't be reached: {what}", _REACH, bot_id))
            break  # the other markets are behind the same door
        finally:
            await source.aclose()
    for source, _ in markets:
        await source.aclose()
    if known:
        findings.append(ok(f"{venue} answers and has {', '.join(dict.fromkeys(known))}"))
    if skew is not None and abs(skew) > _MUCH_SKEW:
        findings.append(warning(f"the clock of {venue} is {skew:+.1f} s from this machine's", _CLOCK))
    return findings
