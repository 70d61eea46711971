"""A real PostgreSQL server for tests: Debian's or the PATH's programs, a temporary folder, a random port.

Started by `PostgresServer.start`, ended by its own process id; `stop` and `start` again keep the data.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import psycopg

from support.waiting import wait_until

_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


def find_postgres() -> Path | None:
    """The folder with `initdb` and `postgres`, the newest version first; None where there is none."""
    for pattern in _PLACES:
        found = sorted(Path("/").glob(pattern[1:]), reverse=True)
        if found and (found[0] / "initdb").exists():
            return found[0]
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


class PostgresServer:
    """Superuser `tradingbot`, trust on the loopback, a password from elsewhere. `durable`: a commit is on the disk."""

    password = "not-a-secret-in-tests"

    def __init__(self, programs: Path, *, listen: str = "127.0.0.1", durable: bool = False) -> None:
        self._programs = programs
        self._durable = durable
        self._listen = listen
        self._folder = Path(tempfile.mkdtemp(prefix="tradingbot-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def url(self, database: str = "postgres", host: str = "127.0.0.1") -> str:
        return f"postgresql+psycopg://tradingbot:{self.password}@{host}:{self.port}/{database}"

    def start(self) -> None:
        if not (self._folder / "data").exists():
            self._initialise()
        log = (self._folder / "log").open("ab")
        settings = {
            "listen_addresses": self._listen,
            "port": str(self.port),
            "unix_socket_directories": str(self._folder),
            "fsync": "on" if self._durable else "off",
            "max_connections": "200",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [self._programs / "postgres", "-D", self._folder / "data", *options]
        self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **_as_nobody())
        log.close()
        wait_until(self._answers, 60, "the PostgreSQL server", tell=(self._folder / "log").read_text)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends connections and shuts down; SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def freeze(self) -> None:
        """Stop every process of the server without closing a connection: what a dead network looks like."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def process_ids(self) -> list[int]:
        """The server's process and those of its connections; none where it does not run."""
        # Each backend is a session of its own, so the postmaster's process group does not reach them.
        if self._process is None:
            return []
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [parent, *map(int, children)]

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self.process_ids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        self.thaw()
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def execute(self, sql: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement outside a transaction; rows as tuples."""
        with psycopg.connect(self._dsn(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return list(cursor.fetchall()) if cursor.description else []

    def row_versions(self, database: str) -> set[tuple[object, ...]]:
        """Of every row of every table the transaction that wrote it and its place: any write makes another one."""
        tables = self.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=database)
        return {
            (table, *row)
            for (table,) in tables
            for row in self.execute(f"SELECT xmin::text, ctid::text FROM {table}", database=database)
        }

    def create_database(self, template: str = "template1") -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _dsn(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=tradingbot password={self.password} dbname={database}"

    def _answers(self) -> bool:
        try:
            return self.execute("SELECT 1") == [(1,)]
        except psycopg.OperationalError:
            return False

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(self.password)
        identity = _as_nobody()
        if identity:
            for path in (self._folder, password):
                os.chown(path, identity["user"], identity["group"])
        command = [self._programs / "initdb", "-D", self._folder / "data", "-U", "tradingbot", "-A", "scram-sha-256"]
        command += ["--pwfile", password, "-E", "UTF8", "--locale", "C", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, **identity)
        (self._folder / "data" / "pg_hba.conf").write_text("local all all trust\nhost all all all scram-sha-256\n")


def _as_nobody() -> dict[str, int]:
    """PostgreSQL refuses to run as root: as root, run it as `postgres`, or as `nobody` where there is no such user."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
