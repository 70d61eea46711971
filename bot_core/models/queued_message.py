"""One row of the queue of messages, as whoever delivers it reads it. Pure; also what other programs wrote is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """`attempt` is the key of a send on this channel of which no end is known, None where there was none."""

    id: int
    message_type: str
    priority: str
    channels: tuple[str, ...]
    created_at: datetime
    recipient_id: str = ""
    template_name: str | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    status: str = "PENDING"
    retry_count: int = 0
    max_retries: int = 3
    attempt: str | None = None

    @classmethod
    def of(cls, row: Mapping[Any, Any], attempt: str | None) -> "QueuedMessage":
        content, metadata = row["content"], row["metadata"]
        return cls(
            id=int(row["id"]),
            message_type=row["message_type"],
            priority=row["priority"],
            channels=tuple(row["channels"] or ()),
            created_at=row["created_at"],
            recipient_id=row["recipient_id"] or "",
            template_name=row["template_name"],
            content=content if isinstance(content, Mapping) else {"message": str(content or "")},
            metadata=metadata if isinstance(metadata, Mapping) else {},
            status=row["status"],
            retry_count=row["retry_count"],
            max_retries=row["max_retries"],
            attempt=attempt,
        )

    @property
    def key(self) -> str:
        """What identifies it at every repetition, also where two databases share a receiver."""
        return f"tradingbot-{self.id}-{int(self.created_at.timestamp() * 1000)}"

    @property
    def title(self) -> str:
        return str(self.content.get("title") or "").strip() or self.message_type.replace("_", " ").capitalize()

    @property
    def text(self) -> str:
        return str(self.content.get("message") or "")
