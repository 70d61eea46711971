"""Keys of a venue in memory. Their values are in no text that this type gives, and masked in every log line."""

from dataclasses import dataclass, field

from bot_core.logs import hide


@dataclass(frozen=True, slots=True)
class Credentials:
    """`source` names where the values came from; it may be shown."""

    source: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for value in (self.key, self.secret, self.password):
            hide(value)
