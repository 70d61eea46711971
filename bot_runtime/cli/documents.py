"""Config documents in files: which files, which bots in them. It judges no document."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bot_core.models.errors import TradingBotError
from bot_core.models.shapes.normalise import bot_documents


def json_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and the *.json files of the folders named, in the order of their names."""
    for path in paths:
        if path.is_dir():
            yield from sorted(path.rglob("*.json"))
        else:
            yield path


def read_document(path: Path) -> Any:
    """Raise TradingBotError naming the file, the line and what is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if not text.strip():
            raise TradingBotError(f"{path}: is an empty file; a bot's document is a JSON object")
        return json.loads(text)
    except OSError as error:
        raise TradingBotError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise TradingBotError(f"{path}: is no JSON document: {error}") from error


def read_bots(path: Path) -> list[tuple[str, Any]]:
    """Each bot of a file with the name to call it by: `FILE`, or `FILE#strategies[0]` of a file with several."""
    document = read_document(path)
    bots = bot_documents(document)
    if len(bots) == 1 and bots[0] is document:
        return [(str(path), document)]
    return [(f"{path}#strategies[{index}]", bot) for index, bot in enumerate(bots)]
