"""The Lease as the API keeps it: read, made, changed at one version only. It decides nothing."""

from datetime import UTC, datetime
from typing import Any

from bot_operator.cluster import ClusterUnavailableError, StaleLookError
from bot_operator.leader import LeaseRecord
from bot_operator.manifests import Document
from bot_operator.naming import MANAGER, owner_labels
from bot_operator.settings import OperatorSettings
from bot_operator.transport import Transport

_QUERY = {"fieldManager": MANAGER}


class Leases:
    """One Lease. Every method raises ClusterUnavailableError; a change that came too late, StaleLookError."""

    def __init__(self, transport: Transport, settings: OperatorSettings) -> None:
        self._transport = transport
        self._settings = settings
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{settings.namespace}/leases"
        self._path = f"{self._leases}/{settings.leader.lease_name}"

    async def read(self) -> LeaseRecord | None:
        document = await self._transport.request("GET", self._path)
        return None if document is None else _parse(document)

    async def create(self, holder: str) -> LeaseRecord:
        document = self._document(holder, acquired=_now(), transitions=0)
        document["metadata"] |= await self._ownership()
        made = await self._transport.request("POST", self._leases, _QUERY, document)
        if made is None:
            raise ClusterUnavailableError(f"{self._leases}: not found; is the namespace there?")
        return _parse(made)

    async def write(self, old: LeaseRecord, holder: str) -> LeaseRecord:
        """Take, renew, or with an empty `holder` release it, unless anybody changed it since it was read."""
        taken = bool(holder) and holder != old.holder
        document = self._document(
            holder, acquired=_now() if taken else old.acquired, transitions=old.transitions + taken
        )
        document["metadata"]["resourceVersion"] = old.version
        document["metadata"] |= await self._ownership() if taken else {}
        written = await self._transport.request("PATCH", self._path, _QUERY, document, _MERGE)
        if written is None:
            raise StaleLookError(f"{self._path}: it is gone")
        return _parse(written)

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _document(self, holder: str, *, acquired: str, transitions: int) -> Document:
        spec: dict[str, Any] = {
            "holderIdentity": holder,
            "leaseDurationSeconds": self._settings.leader.lease_seconds,
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self._settings.leader.lease_name,
                "namespace": self._settings.namespace,
                "labels": owner_labels(self._settings.release),
            },
            "spec": spec | ({"acquireTime": acquired} if acquired else {}),
        }

    async def _ownership(self) -> Document:
        """The operator's Deployment as the owner, so that an uninstall leaves no Lease behind."""
        name = self._settings.leader.deployment
        if not name:
            return {}
        path = f"/apis/apps/v1/namespaces/{self._settings.namespace}/deployments/{name}"
        found = await self._transport.request("GET", path)
        if found is None:
            return {}
        return {
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": found["metadata"]["uid"]}
            ]
        }


_MERGE = "application/merge-patch+json"


def _parse(document: Document) -> LeaseRecord:
    spec = document.get("spec") or {}
    return LeaseRecord(
        holder=str(spec.get("holderIdentity") or ""),
        version=str(document["metadata"]["resourceVersion"]),
        seconds=float(spec.get("leaseDurationSeconds") or 0),
        transitions=int(spec.get("leaseTransitions") or 0),
        acquired=str(spec.get("acquireTime") or ""),
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
