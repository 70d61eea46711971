"""Options and arguments that mean the same in every command that has them."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from bot_runtime.cli.usage import UsageError, read_id


def bot_id(text: str) -> int:
    try:
        return read_id(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None


def _path(text: str) -> Path:
    if not text or "\0" in text:  # nothing would be the current folder
        raise typer.BadParameter(f"{text!r} is no path")
    return Path(text)


AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
MessageIds: TypeAlias = Annotated[
    list[int], typer.Argument(parser=bot_id, metavar="ID", help="Messages, by their ids as `messages list` shows them.")
]
BotIds: TypeAlias = Annotated[
    list[int], typer.Argument(parser=bot_id, metavar="ID", help="Bots, by the ids of their rows.")
]
Documents: TypeAlias = Annotated[
    list[Path], typer.Argument(parser=_path, metavar="PATH", help="JSON files, or folders of JSON files.")
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do not ask before it is done.")]
