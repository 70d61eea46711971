"""Messages to the service manager over the socket that NOTIFY_SOCKET names (sd_notify(3)).

The protocol is one datagram of NAME=value lines. libsystemd, or a package around it, would be one more dependency of
every bot for what is written down here. It never waits and never raises: a manager that does not read holds nobody up.
"""

import os
import socket
from collections.abc import Mapping

import structlog

_log = structlog.get_logger(__name__)
_MICROSECONDS = 1_000_000


class NotifySocket:
    """`from_environment` gives None where nobody listens, which is everywhere but under a service manager."""

    def __init__(self, address: str) -> None:
        """`address` as in NOTIFY_SOCKET: a path, or @ and the name of an abstract socket."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._complained = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "NotifySocket | None":
        address = environment.get("NOTIFY_SOCKET", "")
        if not address:
            return None
        if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
            _log.warning("notify_socket_unknown", address=address, allowed="a path that begins with /, or @name")
            return None
        return cls(address)

    def send(self, **fields: str | int) -> bool:
        """Send all fields in one datagram. False where the manager did not take it."""
        text = "\n".join(f"{name}={' '.join(str(value).splitlines())}" for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                end.setblocking(False)
                end.sendto(text.encode(), self._address)
        except OSError as error:
            if not self._complained:
                _log.warning("service_manager_not_told", error=str(error), fields=sorted(fields))
            self._complained = True
            return False
        self._complained = False
        return True


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """Within how many seconds the manager wants a sign of life of this very process; None where it wants none."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / _MICROSECONDS if text.isdecimal() and int(text) else None
