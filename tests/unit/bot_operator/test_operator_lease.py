"""The Lease over a transport that answers as the API server does; the real one is the e2e tests' matter."""

from typing import Any, cast

import pytest

from bot_operator.cluster import ClusterUnavailableError, StaleLookError
from bot_operator.leader import LeaseRecord
from bot_operator.lease import Leases
from bot_operator.transport import Transport
from support.operator_builders import some_settings


class _NotFound:
    async def request(self, *_request: Any) -> None:
        return None


async def test_a_lease_that_was_deleted_is_a_stale_look_and_a_namespace_that_is_away_is_not() -> None:
    leases = Leases(cast("Transport", _NotFound()), some_settings())
    assert await leases.read() is None
    with pytest.raises(StaleLookError, match="it is gone"):
        await leases.write(LeaseRecord("a", "1"), "a")
    with pytest.raises(ClusterUnavailableError, match="namespace"):
        await leases.create("a")
