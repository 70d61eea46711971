"""The question before something that trades or deletes."""

import sys


def agreed(question: str, *, without_terminal: bool) -> bool:
    """Ask a person at a terminal; where there is none, the answer is `without_terminal`."""
    if not sys.stdin.isatty():
        return without_terminal
    # Not on standard output, which may be a file or a program.
    print(f"{question} Type yes: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
