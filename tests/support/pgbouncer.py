"""A pgbouncer in transaction mode before a PostgreSQL of the tests'."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.postgres import PostgresServer, free_port
from support.waiting import wait_until

PROGRAM = Path("/usr/sbin/pgbouncer")


@contextmanager
def pooled(
    postgres: PostgresServer, database: str, folder: Path, *, server_connections: int = 20, clients: int = 100
) -> Iterator[str]:
    """The URL of a database through the pooler, which opens at most so many connections to the server."""
    port = free_port()
    (folder / "users").write_text(f'"tradingbot" "{postgres.password}"\n')
    (folder / "ini").write_text(
        f"[databases]\n{database} = host=127.0.0.1 port={postgres.port} password={postgres.password}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = scram-sha-256\nauth_file = {folder}/users\n"
        f"default_pool_size = {server_connections}\nmax_client_conn = {clients}\n"
        "pool_mode = transaction\nignore_startup_parameters = options\nunix_socket_dir =\n"
    )
    command = [str(PROGRAM), str(folder / "ini")]
    if os.geteuid() == 0:  # it refuses to run as root
        for path in (*folder.parents[:1], folder, folder / "ini", folder / "users"):
            path.chmod(0o755)
        command = [str(PROGRAM), "-u", "nobody", str(folder / "ini")]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port), 15, "pgbouncer", tell=(folder / "log").read_text)
        yield f"postgresql://tradingbot:{postgres.password}@127.0.0.1:{port}/{database}"
    finally:
        running.terminate()
        running.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
