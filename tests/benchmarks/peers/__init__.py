"""What others would use instead, measured in the same run: freqtrade, nautilus_trader, backtrader."""

from benchmarks.context import Context, NotInstalledError
from benchmarks.figures import Section
from benchmarks.peers import backtests, idle, one_more
from benchmarks.peers.environments import PEERS, named

TITLE = "Beside freqtrade, nautilus_trader and backtrader"
HOW = (
    "`make bench-peers` puts each of them into an environment of its own below `.bench`. Idle: one bot of ours as its"
    " pod runs it; freqtrade in a dry run on one pair, its database SQLite and no web server, at a stand-in for"
    " Binance on this machine with 25 markets where Binance has thousands; a live node of nautilus_trader with its"
    " sandbox venue and one strategy, without a data client. Each has 500 bars of a minute when it is ready. They start"
    " in turn and then wait within the same minute. Backtest: RSI or Bollinger bands to enter, a stop that trails by"
    " ATR to leave, on the same bars of a minute, with each framework's own indicators and conventions (freqtrade's"
    " stop is a callback and may be hit within a bar; nautilus_trader's orders fill at the close of the bar, not at"
    " the next open), so that trades are alike and not the same. The time is that of the run with the bars in memory,"
    " the peak that of the whole process. The bare loop is Python over floats, with exactly our trades."
)


def measure(context: Context) -> Section:
    """Raise NotInstalledError where there is none of them, or no PostgreSQL server."""
    peers: dict[str, str] = {}
    missing: list[str] = []
    for peer in PEERS:
        try:
            peers[peer] = named(peer)
        except NotInstalledError as error:
            missing.append(str(error))
    if not peers:
        raise NotInstalledError("; ".join(missing))
    figures = idle.figures(context, peers) + backtests.figures(context, peers)
    about = (("beside", f"{', '.join(peers.values())}, each on the Python of this run"),)
    return Section(
        "peers", TITLE, HOW, figures, details=one_more.details(context, peers), missing=tuple(missing), about=about
    )
