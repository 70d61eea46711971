"""Rows to texts, by templates: those of the folder TRADINGBOT_TEMPLATES first, else the shipped ones.

Templates are sandboxed and every value is escaped for its channel. One that is broken is named once in the log, and the
shipped one serves. That something is repeated is added here, where no template can leave it out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from jinja2 import FileSystemLoader, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment

from bot_core.models.queued_message import QueuedMessage
from bot_runtime.notifications.base import Delivery, Markup
from bot_runtime.notifications.digest import Unit

_log = structlog.get_logger(__name__)
FOLDER_VARIABLE = "TRADINGBOT_TEMPLATES"
_SHIPPED = Path(__file__).with_name("templates")
_NAME = re.compile(r"[A-Za-z0-9_\-]{1,100}")
#: The longest text of a channel, in units of UTF-16, as Telegram counts.
_LONGEST: Mapping[Markup, int] = {Markup.TELEGRAM: 4096, Markup.SLACK: 12_000}
REPEATED = "(repeated: it is not known whether this arrived before)"
#: What of the metadata people read below the text, where the channel has room for it.
_SHOWN = ("order_type", "symbol", "price", "size", "pnl", "pnl_percentage", "holding_seconds", "reason", "trading_mode")
#: What of it is an address of somebody.
_PRIVATE = frozenset({"email_receiver", "telegram_chat_id", "slack_channel", "webhook"})


@dataclass(frozen=True, slots=True)
class _Said:
    title: str
    message: str
    time: str
    facts: Mapping[str, Any]


class Renderer:
    def __init__(self, folder: Path | None = None) -> None:
        places = ([folder] if folder is not None else []) + [_SHIPPED]
        self._environments = {
            markup: (_environment(places, markup), _environment([_SHIPPED], markup)) for markup in Markup
        }
        #: The templates that could not be used.
        self.broken: set[str] = set()

    def render(self, unit: Unit, markup: Markup) -> Delivery:
        """Plain text, and the body in the channel's markup, no longer than the channel takes."""
        title = " ".join(self._text(unit, Markup.TEXT, "subject").split())
        first = unit.rows[0]
        mark = f"{REPEATED}\n\n" if unit.repeated else ""
        text = mark + self._bounded(unit, Markup.TEXT, len(mark))
        html_mark = f"<p>{REPEATED}</p>\n" if markup is Markup.HTML and unit.repeated else mark
        body = text if markup is Markup.TEXT else html_mark + self._bounded(unit, markup, len(html_mark))
        return Delivery(
            key=unit.key,
            target=unit.target,
            title=f"(repeated) {title}" if unit.repeated else title,
            text=text,
            body=body,
            created_at=first.created_at,
            facts=_facts(unit),
            repeated=unit.repeated,
        )

    def _bounded(self, unit: Unit, markup: Markup, taken: int) -> str:
        limit = _LONGEST.get(markup)
        longest = 4000
        while True:
            text = self._text(unit, markup, markup, longest)
            if limit is None or _units(text) + taken <= limit or longest == 0:
                return text if limit is None else _cut(text, limit - taken)
            longest = longest * 3 // 4

    def _text(self, unit: Unit, markup: Markup, ending: str, longest: int = 4000) -> str:
        said = [_said(row, longest) for row in unit.rows]
        digest = len(said) > 1
        values: dict[str, Any] = {"messages": said, "count": len(said)}
        if not digest:
            values |= {"title": said[0].title, "message": said[0].message, "time": said[0].time, "facts": said[0].facts}
            values |= {"metadata": unit.rows[0].metadata, "type": unit.rows[0].message_type}
        names = ["digest"] if digest else _names(unit.rows[0])
        own, shipped = self._environments[markup]
        try:
            return _filled(own, names, ending, values)
        except Exception as error:  # noqa: BLE001  # a template may raise whatever it likes
            self._tell(names[0], ending, error)
        return _filled(shipped, ["digest" if digest else "message"], ending, values)

    def _tell(self, name: str, ending: str, error: Exception) -> None:
        template = f"{name}.{ending}.j2"
        if template not in self.broken:
            self.broken.add(template)
            _log.warning("template_broken", template=template, error=f"{type(error).__name__}: {error}")


def _environment(places: Sequence[Path], markup: Markup) -> SandboxedEnvironment:
    escape = markup in {Markup.HTML, Markup.TELEGRAM}
    finalize = _slack_escaped if markup is Markup.SLACK else None
    return SandboxedEnvironment(
        loader=FileSystemLoader([str(place) for place in places]), autoescape=escape, finalize=finalize
    )


def _slack_escaped(value: Any) -> Any:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") if isinstance(value, str) else value


def _filled(environment: SandboxedEnvironment, names: Sequence[str], ending: str, values: Mapping[str, Any]) -> str:
    """By the first of the templates that there is."""
    for name in names:
        try:
            return environment.get_template(f"{name}.{ending}.j2").render(values).strip()
        except TemplateNotFound as error:
            if error.name != f"{name}.{ending}.j2":
                raise
    raise TemplateNotFound(f"{names[-1]}.{ending}.j2")


def _names(row: QueuedMessage) -> list[str]:
    wanted = (row.template_name or "", row.message_type, "message")
    return [name for name in wanted if _NAME.fullmatch(name)]


def _said(row: QueuedMessage, longest: int) -> _Said:
    facts = {
        name.replace("_", " "): row.metadata[name]
        for name in _SHOWN
        if row.message_type.startswith("trade") and row.metadata.get(name) not in (None, "")
    }
    message = row.text if len(row.text) <= longest else f"{row.text[:longest]}…"
    return _Said(row.title[:200], message, f"{row.created_at:%Y-%m-%d %H:%M} UTC", facts)


def _facts(unit: Unit) -> dict[str, Any]:
    """What programs read."""
    if len(unit.rows) > 1:
        return {"type": "digest", "messages": [_facts(replace(unit, rows=(row,))) | _plain(row) for row in unit.rows]}
    (row,) = unit.rows
    metadata = {name: value for name, value in row.metadata.items() if name not in _PRIVATE}
    return {"type": row.message_type, "priority": row.priority, "metadata": metadata}


def _plain(row: QueuedMessage) -> dict[str, Any]:
    return {"id": row.key, "title": row.title, "text": row.text, "created_at": row.created_at.isoformat()}


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _cut(text: str, limit: int) -> str:
    """Only for what no shortening of messages made short enough. Tags are taken out, or half of one would be left."""
    if _units(text) <= limit:
        return text
    plain = re.sub(r"<[^>]*>", "", text)
    return re.sub(r"&[^;\s]*$", "", plain[: limit // 2]) + "…"
