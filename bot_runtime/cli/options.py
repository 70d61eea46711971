"""Options and arguments that mean the same in every command that has them."""

from typing import Annotated, TypeAlias

import typer

_LARGEST_ID = 2**31 - 1  # what the column holds


def bot_id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 <= int(text) <= _LARGEST_ID):
        raise typer.BadParameter(f"{text!r} is no id; allowed: a whole number up to {_LARGEST_ID}")
    return int(text)


AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
BotIds: TypeAlias = Annotated[
    list[int], typer.Argument(parser=bot_id, metavar="ID", help="Bots, by the ids of their rows.")
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do not ask before it is done.")]
