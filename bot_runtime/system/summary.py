"""The state of a process in one line, as `systemctl status` shows it. Counts only, so it can't hold a secret."""

from collections import Counter

from bot_runtime.engine.board import FleetBoard, Phase

#: In the order in which they are told; `running` first, then what wants attention.
_ORDER = (Phase.RUNNING, Phase.ERROR, Phase.WAITING, Phase.STARTING, Phase.STOPPING, Phase.STOPPED)


def bots_in_words(fleet: FleetBoard) -> str:
    """Such as `12 bots: 11 running, 1 error`."""
    count = len(fleet.bots)
    if not count:
        return "no bots"
    phases = Counter(board.phase for board in fleet.bots.values())
    told = ", ".join(f"{phases[phase]} {phase}" for phase in _ORDER if phases[phase])
    return f"{count} bot{'' if count == 1 else 's'}: {told}"
