"""The text of the systemd unit and of the files beside it. Pure: it reads nothing and writes nothing.

Each line that is not obvious says why it is there, since administrators read it where it is installed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bot_core.models.errors import TradingBotError

#: The first line of whatever `tradingbot service install` writes: a file without it is somebody else's.
MARK = "# Written by `tradingbot service install`; `uninstall` removes it. Changes: `systemctl edit {name}`."
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_PLAIN = re.compile(r"[\w./:=@%+,-]+")

_UNIT = """\
{mark}
[Unit]
Description=Trading bots ({name})
Wants=network-online.target
After=network-online.target time-sync.target nss-lookup.target postgresql.service
# It is started again for ever: a fleet that nobody looks at for a night must not stay down.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={user}
WorkingDirectory={state}
EnvironmentFile={environment_file}
Environment=LOG_FORMAT=json PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1
# Where the watchdog ends it, the log says where each thread stood.
Environment=PYTHONFAULTHANDLER=1
{upgrade}ExecStart={command} serve{arguments}
# READY comes as soon as it watches the table, also while the database is away.
TimeoutStartSec=120
# Signs of life are given only while every loop advances: what /healthz answers.
WatchdogSec={watchdog}
Restart=on-failure
RestartSec=5
# 2 is a command line that can't be read: trying again helps nobody.
RestartPreventExitStatus=2
# SIGTERM to the main process, which drains for TRADINGBOT_DRAIN_SECONDS (20) and asks for more time while it does.
KillMode=mixed
TimeoutStopSec=60
OOMPolicy=kill
LimitNOFILE=65536
# A core dump would hold the keys of accounts.
LimitCORE=0
StateDirectory={state_name}
StateDirectoryMode=0700
UMask=0077
SyslogIdentifier={name}

CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
PrivateUsers=yes
DevicePolicy=closed
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
# Not `invisible`: whether another process that holds a bot's lease is dead is seen in /proc, and one that can't be
# seen would be taken for dead.
ProtectProc=default
ProcSubset=all
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
KeyringMode=private
LockPersonality=yes
# A plugin that makes machine code (numba, torch) needs `no` here: `systemctl edit`.
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""

_ENVIRONMENT = """\
# Made by `tradingbot service install`, which never touches it again.
# The environment of the service, for root only: it may hold passwords. systemd reads it: NAME=value, no `export`.
# After a change: systemctl restart {name}

# All that the service needs to know is in this database.
DATABASE_URL={database_url}
# DATABASE_URL=postgresql+psycopg://tradingbot:PASSWORD@localhost/tradingbot

# /healthz /readyz /status /metrics
HOST=127.0.0.1
# PORT=8080
# LOG_LEVEL=INFO
# TRADINGBOT_DRAIN_SECONDS=20
# TRADINGBOT_PLUGINS={state}/plugins

# Keys of accounts: the document's broker section names the variables.

# Notifications: a channel without its variables is left alone.
# SMTP_SERVER=smtp.example.com
# SMTP_PORT=587
# SMTP_SECURITY=starttls
# SMTP_USER=
# SMTP_PASSWORD=
# SMTP_FROM=bots@example.com
# TELEGRAM_BOT_TOKEN=
# SLACK_BOT_TOKEN=
# SLACK_CHANNEL=
# WEBHOOK_URL=
# WEBHOOK_SECRET=
# APPRISE_URLS=
"""

_SYSUSERS = """\
{mark}
u {user} - "Trading bots" {state} -
"""


class UnitOptionError(TradingBotError):
    """A name or a path that a unit can't have."""


@dataclass(frozen=True)
class UnitOptions:
    """`command`: the words that start `tradingbot`, absolute. Paths are those on the machine that will run it."""

    command: Sequence[str]
    name: str = "tradingbot"
    user: str = "tradingbot"
    state_directory: str | None = None
    environment_file: str | None = None
    watchdog_seconds: int = 90  # three signs of life, of which two may be late
    upgrade_database: bool = True
    arguments: Sequence[str] = ()

    def __post_init__(self) -> None:
        for what, text in (("--name", self.name), ("--user", self.user)):
            if not _NAME.fullmatch(text):
                raise UnitOptionError(f"{what} is {text!r}; allowed: lower-case letters, digits, - and _, at most 31")
        if not self.command[0].startswith("/") or any(character in self.command[0] for character in "\"'\\"):
            raise UnitOptionError(f"--executable is {self.command[0]!r}; allowed: an absolute path without quotes")
        if not re.fullmatch(r"/var/lib(/[\w-][\w.-]*)+", self.state):
            raise UnitOptionError(f"--state-directory is {self.state!r}; allowed: a folder below /var/lib")
        if not re.fullmatch(r"(/[\w-][\w.-]*)+", self.environment):
            raise UnitOptionError(f"--environment-file is {self.environment!r}; allowed: an absolute, plain path")

    @property
    def state(self) -> str:
        return self.state_directory or f"/var/lib/{self.name}"

    @property
    def environment(self) -> str:
        return self.environment_file or f"/etc/{self.name}/environment"

    @property
    def unit_file(self) -> str:
        return f"/etc/systemd/system/{self.name}.service"

    @property
    def sysusers_file(self) -> str:
        return f"/etc/sysusers.d/{self.user}.conf"

    @property
    def mark(self) -> str:
        return MARK.format(name=self.name)


def build_unit(options: UnitOptions) -> str:
    """The unit file. Its user is a fixed one, so that files keep their owner, and PostgreSQL may know it by name."""
    command = " ".join(_quoted(word) for word in options.command)
    return _UNIT.format(
        mark=options.mark,
        name=options.name,
        user=options.user,
        state=options.state,
        state_name=PurePosixPath(options.state).relative_to("/var/lib"),
        environment_file=options.environment,
        # A database that is away must not keep the service from waiting for it: hence the minus.
        upgrade=f"ExecStartPre=-{command} db upgrade\n" if options.upgrade_database else "",
        command=command,
        arguments="".join(f" {_quoted(word)}" for word in options.arguments),
        watchdog=options.watchdog_seconds,
    )


def build_environment(options: UnitOptions) -> str:
    """The environment file, with what may be set as comments."""
    return _ENVIRONMENT.format(
        name=options.name,
        state=options.state,
        database_url=f"sqlite:///{options.state}/tradingbot.db",
    )


def build_sysusers(options: UnitOptions) -> str:
    """What makes the user, on this machine or at the first boot of an image (sysusers.d(5))."""
    return _SYSUSERS.format(mark=options.mark, user=options.user, state=options.state)


def _quoted(word: str) -> str:
    """As systemd reads it (systemd.syntax(7)): % begins a specifier, $ a variable."""
    escaped = word.replace("%", "%%")
    if any(character in word for character in "\n\r\0"):
        raise UnitOptionError(f"{word!r} can't stand in a unit; allowed: no line breaks")
    if _PLAIN.fullmatch(word):
        return escaped
    quoted = escaped.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{quoted}"'
