"""How a bot's workload ends: its Deployment is deleted, and what an earlier one left behind is taken over before. Pure.

`kubectl delete deployment --cascade=orphan` leaves a ReplicaSet whose pods nobody ends: deleted, they are made again. A
Deployment of the same selector adopts that ReplicaSet, and one that asks for no pod scales it down.
"""

from bot_operator.actions import Action, ApplyDeployment, DeleteDeployment
from bot_operator.manifests import Document, build_deployment
from bot_operator.naming import Workload
from bot_operator.observed import Observed
from bot_operator.settings import OperatorSettings


def plan_end(observed: Observed, settings: OperatorSettings, why: str) -> list[Action]:
    """The next step to where neither a Deployment nor a pod is left; nothing while pods come to their end."""
    deployment = observed.deployment
    if observed.orphans:
        return [ApplyDeployment(build_adopter(observed.orphans[0].bot_id, settings))] if deployment is None else []
    if deployment is None or not deployment.ours or deployment.deleting:
        return []
    return [DeleteDeployment(deployment.uid, why)]


def build_adopter(bot_id: int, settings: OperatorSettings) -> Document:
    """A Deployment that never has a pod of its own, owned by nobody: the TradingBot may go before it."""
    manifest = build_deployment(Workload.of([bot_id]), settings, owner_uid="")
    metadata = {key: manifest["metadata"][key] for key in ("name", "namespace", "labels")}
    return {**manifest, "metadata": metadata, "spec": {**manifest["spec"], "replicas": 0}}
