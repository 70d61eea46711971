"""The question before something that trades or deletes."""

import sys


def agreed(question: str, *, without_terminal: bool) -> bool:
    """Ask a person at a terminal; where there is none, the answer is `without_terminal`."""
    if not sys.stdin.isatty():
        return without_terminal
    try:
        return input(f"{question} Type yes: ").strip().lower() in {"y", "yes"}
    except EOFError:  # Ctrl-D
        print()
        return False
