"""Faults on demand: what goes wrong at which endpoint, how often."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """`BEFORE` strikes unread, `AFTER` once the request has had its effect."""

    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    MALFORMED_AFTER = "malformed_after"
    DUPLICATE_FILLS = "duplicate_fills"
    LATE_FILLS = "late_fills"


@dataclass
class Fault:
    """`endpoint` is such as `POST /api/v3/order` or `*`; `times` None is for ever; the first `skip` requests pass.

    ERROR kinds answer with `status`, and with `code` and `message` where a code is given.
    """

    kind: FaultKind
    endpoint: str = "POST /api/v3/order"
    times: int | None = 1
    skip: int = 0
    status: int = 500
    code: int | None = None
    message: str = ""
    retry_after: int | None = None

    def matches(self, endpoint: str) -> bool:
        return self.endpoint in {"*", endpoint}


class Faults:
    def __init__(self) -> None:
        self._planned: list[Fault] = []

    def plan(self, *faults: Fault) -> None:
        self._planned += faults

    def clear(self) -> None:
        self._planned.clear()

    def take(self, endpoint: str) -> Fault | None:
        """Return the fault that strikes this request."""
        for fault in self._planned:
            if not fault.matches(endpoint):
                continue
            if fault.skip:
                fault.skip -= 1
                return None
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._planned.remove(fault)
            return fault
        return None

    def listed(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._planned]


def too_many_requests(endpoint: str = "POST /api/v3/order", *, status: int = 429, times: int | None = 1) -> Fault:
    """429, or 418 for an address that went on nevertheless."""
    message = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
    return Fault(FaultKind.ERROR_BEFORE, endpoint, times, status=status, code=-1003, message=message, retry_after=1)


def unknown_status(code: int = -1007) -> Fault:
    """Binance itself can't say whether the order was executed; here it was."""
    message = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
    return Fault(FaultKind.ERROR_AFTER, status=504 if code == -1007 else 500, code=code, message=message)
