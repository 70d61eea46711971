# ruff: noqa: E501, ISC004  # words, one line a key as far as that goes
"""What each key of a document means, in words: for the reference, not for bots. Types and limits are the models' own.

A test holds that no key of a model is without its meaning.
"""

TOP = {
    "symbol": "what is traded; `BTC/USDT`, `brk.b` and lower case are read as `BTCUSDT`, `BRKB`",
    "bot_id": "a name of the document's own; the row's id where it is absent",
    "enabled": "false stops the bot whatever the status of its row says",
    "user_id": "the owner of its notifications; the row's user where it is absent",
    "update_policy": "when a changed document is applied: at the next bar (`now`), when there is neither position nor order "
    "(`when_flat`), or not before the next start (`manual`)",
    "on_stop": "what a stop on request does: leave everything (`keep`), cancel entries on their way and keep the position "
    "with its stop (`cancel`), close the position as well (`flatten`)",
    "credentials_secret": "the name of the broker's keys: environment variables, on Kubernetes a Secret; see live-trading.md",
}
SECTIONS: dict[str, dict[str, str]] = {
    "broker": {
        "type": "where orders go; `mock`, `file_broker` and `backtrader` are read as `paper`, `binance_paper` as `binance` on "
        "paper",
        "trading_mode": "`paper`, or `live` for real orders, which needs `live_trading_confirmed` and, but for `ibkr`, "
        "`credentials_secret`",
        "name": "a name for people",
        "cash": "opening balance in the quote currency; used once, when the bot first runs",
        "commission": "fraction of each fill's value, paid on both fills",
        "live_trading_confirmed": "the owner's word that real money is meant",
        "testnet": "live orders go to the exchange's testnet",
        "simulation": "how the paper venue fills",
    },
    "broker.simulation": {
        "slippage_bps": "basis points that each fill loses",
        "latency_ms": "how late a fill comes",
        "partial_fill_probability": "how often an order fills in parts",
        "reject_probability": "how often an order is rejected",
        "seed": "makes the chances of a run the same each time",
    },
    "data": {
        "data_source": "where bars come from: live-data.md; the market of the broker where the section is absent",
        "symbol": "the market's name at the source, where it is another one than the bot's",
        "interval": "the length of a bar, such as `1m`, `15m`, `1h`, `4h`, `1d`",
        "lookback_bars": "bars of the past to begin with",
        "file_path": "CSV or Parquet of bars, for `file`; relative paths begin at TRADINGBOT_DATA_DIR",
        "datetime_col": "the file's column of times; usual names are found by themselves, here and below",
        "open_col": "the file's column of opening prices",
        "high_col": "the file's column of highest prices",
        "low_col": "the file's column of lowest prices",
        "close_col": "the file's column of closing prices",
        "volume_col": "the file's column of volumes",
        "simulate_realtime": "wait between the bars of a file",
        "realtime_interval": "seconds of that wait",
        "seed": "of generated bars",
        "start": "time of the first generated bar",
        "speed": "generated bars a second; 0 is as fast as possible",
        "bars": "how many bars are generated; -1 or absent: without end",
        "retry_interval": "known from the older platform; retries follow a back-off of their own",
        "polling_interval": "known from the older platform; polls follow the bars",
        "host": "known from the older platform; the environment names the gateway (IBKR_HOST)",
        "port": "known from the older platform; the environment names the gateway (IBKR_PORT)",
        "client_id": "the client id at the gateway (`ibkr`)",
        "testnet": "bars of the exchange's testnet",
        "transport": "how bars of Binance come: its stream, or polls",
        "coin_id": "the coin's id at CoinGecko, where the symbol does not tell it",
    },
    "trading": {
        "position_size": "fraction of the free cash that an entry buys for, where the strategy names none",
        "max_positions": "open positions at once; a bot has one at the most",
        "order_type": "how entries are ordered",
        "max_drawdown_pct": "per cent below the highest equity at which no entry is made any more",
        "max_exposure": "most value of the position, as a fraction of equity",
        "allow_short": "true gives a notice: entries are long",
        "leverage": "above 1 gives a notice: a bot buys with its own cash",
    },
    "risk_management": {
        "max_position_size": "most value of an entry, quote currency",
        "stop_loss_pct": "per cent below the entry at which the position is closed",
        "take_profit_pct": "per cent above the entry at which the position is closed",
        "stop_loss_enabled": "false switches `stop_loss_pct` off",
        "take_profit_enabled": "false switches `take_profit_pct` off",
        "trailing_stop": "whether a stop follows the highest close",
        "trailing_stop_pct": "per cent below the highest close since the entry",
        "trailing_stop_activation_pct": "per cent above the entry that the highest close must have reached before it acts; absent: at once",
        "max_daily_loss": "net loss of one UTC day, quote currency, after which no entry is made",
        "max_daily_trades": "entries in one UTC day",
        "max_portfolio_risk": "fraction of equity that the stop of an entry may lose",
        "position_sizing_method": "known from the older platform; not read",
    },
    "notifications": {
        "enabled": "false silences all of them",
        "position_opened": "tell of each entry",
        "position_closed": "tell of each exit, with its result",
        "error_notifications": "tell the owner of errors; admins are told in any case",
        "bot_events": "tell of starts and stops",
        "risk_alerts": "tell when a limit holds the bot, and of halts",
        "daily_summary": "one summary a day",
        "performance_summaries": "how often figures are told: daily, weekly, monthly, or a list of these",
        "email_enabled": "by e-mail",
        "telegram_enabled": "by Telegram",
        "slack_enabled": "by Slack",
        "webhook_enabled": "by a signed webhook",
        "channels": "further channels, by name",
        "notify_email": "an address of its own, instead of the owner's",
        "notify_telegram_chat_id": "a chat of its own, instead of the owner's",
        "slack_channel": "a channel of its own in Slack",
        "webhook": "the name of the webhook: `ops` stands for WEBHOOK_OPS_URL",
    },
    "logging": {
        "level": "from which level on the bot's lines are logged",
        "save_trades": "known from the older platform; trades are in the tables",
        "save_equity_curve": "known from the older platform; not read",
        "log_file": "known from the older platform; logs go to the process's output",
    },
    "scheduling": {
        "enabled": "whether entries are allowed at these times alone",
        "start_time": "from when on",
        "end_time": "until when; before `start_time` it means the next day",
        "timezone": "of both times and of the days",
        "trading_days": "on which days",
    },
    "resources": {
        "requests": "checked and not read: what a pod asks for is in `kubernetes.resources`",
        "limits": "likewise",
    },
    "resources.requests": {
        "cpu": "processor time, as Kubernetes writes it",
        "memory": "memory, as Kubernetes writes it",
    },
    "kubernetes": {
        "resources": "what the pod asks for (`requests`) and may use (`limits`), each with `cpu` and `memory`; what is not named is the "
        "chart's. At most `bot.policy.maxCpu` and `maxMemory`",
        "node_selector": "labels that its node must have, beside the chart's; keys of `bot.policy.nodeSelectorKeys`",
        "tolerations": "taints that it tolerates, beside the chart's: `key`, `operator` (Exists, Equal), `value`, `effect`, "
        "`toleration_seconds`; keys of `bot.policy.tolerationKeys`",
        "priority_class": "its PriorityClass; one of `bot.policy.priorityClasses`",
        "labels": "further labels of the pod; keys that begin with one of `bot.policy.labelPrefixes`",
    },
    "kubernetes.resources": {
        "requests": "what the pod asks for",
        "limits": "what the pod may use at the most",
    },
}
#: Of `strategy`, which has no model of one table: allowed, default, meaning.
STRATEGY = {
    "type": ("a known strategy", "CustomStrategy", "`CustomStrategy` is an entry rule and an exit rule; a trained model "
             "(ml-strategies.md) or a plugin (plugins.md) by its name; an unknown one runs as CustomStrategy, with an error in "
             "the log"),
    "parameters.entry_logic": ('{"name": …, "params": {…}}', "required", "the entry rule and its parameters: strategies.md"),
    "parameters.exit_logic": ('{"name": …, "params": {…}}', "required", "the exit rule and its parameters: strategies.md"),
    "parameters.position_size": ("a number above 0, at most 1", "`trading.position_size`, else 0.1", "fraction of the free "
                                 "cash that an entry buys for"),
    "parameters.min_position_size": ("a number from 0 to 1", "", "the least fraction"),
    "parameters.max_position_size": ("a number above 0, at most 1", "", "the largest fraction"),
    "parameters.asset_type": ("crypto, stock", "crypto", "stocks are bought in whole shares"),
}  # fmt: skip
