"""Which actions of a plan are carried out although one before them has failed. Pure.

Row, status and workload are told apart: what can't be said of a bot keeps nobody from looking after its Deployment. But
a pod is deleted only by a plan of which all has been written, and a status that would forget that a stop is unanswered
waits.
"""

from collections.abc import Sequence

from bot_operator.actions import (
    Action,
    ApplyDeployment,
    DeleteDeployment,
    EmitEvent,
    PatchStatus,
    RestoreDeployment,
    RestoreStatus,
    WriteRowDisruption,
    WriteRowError,
    WriteRowRefusal,
    WriteRowStopped,
)

#: What the next plan says to the row again, whatever the status says by then.
_REPEATED = (WriteRowError, WriteRowRefusal, WriteRowDisruption)
_WORDS = (*_REPEATED, WriteRowStopped, PatchStatus, RestoreStatus)


def stands(action: Action, failed: Sequence[Action], last: Action | None) -> bool:
    """Whether an action does without those that have `failed` or were left out for them.

    `last` came right before it, Events aside: an Event tells of that one, and not before it is done.
    """
    match action:
        case EmitEvent():
            return not any(item is last for item in failed)
        case PatchStatus() | RestoreStatus():
            return all(isinstance(item, _REPEATED) for item in failed)
        case ApplyDeployment() | RestoreDeployment() | DeleteDeployment():
            return all(isinstance(item, _WORDS) for item in failed)
        case _:
            return not failed
