"""The service manager's end of NOTIFY_SOCKET: a real datagram socket, and what arrived at it."""

import socket
import time
import uuid
from pathlib import Path


class NotifyListener:
    """`address` is for NOTIFY_SOCKET. Messages are read when they are asked for; the kernel keeps a few meanwhile."""

    def __init__(self, folder: Path, *, abstract: bool = False) -> None:
        self.address = f"@tradingbot-{uuid.uuid4().hex}" if abstract else str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + self.address[1:] if abstract else self.address)
        self._socket.setblocking(False)
        self._messages: list[tuple[float, dict[str, str]]] = []

    def messages(self) -> list[dict[str, str]]:
        self._read()
        return [message for _, message in self._messages]

    def values(self, name: str) -> list[str]:
        return [message[name] for message in self.messages() if name in message]

    def quiet_for(self, name: str) -> float:
        """Seconds since the last message with this field was read; infinite where there was none."""
        self._read()
        times = [at for at, message in self._messages if name in message]
        return time.monotonic() - times[-1] if times else float("inf")

    def _read(self) -> None:
        while True:
            try:
                text = self._socket.recv(4096).decode()
            except BlockingIOError:
                return
            pairs = ((name, value) for name, _, value in (line.partition("=") for line in text.splitlines()))
            self._messages.append((time.monotonic(), dict(pairs)))

    def __enter__(self) -> "NotifyListener":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
