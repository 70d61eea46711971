"""What the service of this machine says of itself over HTTP. Where it listens is read from its environment file."""

import json
import urllib.request
from pathlib import Path
from typing import Any

_TIMEOUT = 5.0
_EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104  # compared, not listened on


def read_environment(path: Path) -> dict[str, str]:
    """NAME=value lines as systemd reads them, without its continuation lines; {} where it can't be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.strip().partition("=") for line in lines if "=" in line and not line.lstrip().startswith(("#", ";")))
    return {name.strip(): _unquoted(value.strip()) for name, _, value in pairs}


def own_status(environment_file: Path) -> dict[str, Any] | None:
    """The body of /status; None where it can't be asked."""
    told = read_environment(environment_file)
    host = told.get("HOST", "")
    host = "127.0.0.1" if host in _EVERYWHERE else host
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    request = urllib.request.Request(f"http://{host}:{told.get('PORT') or 8080}/status")
    if token := _token(told):
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310  # our own address
            body = json.load(answer)
    except (OSError, ValueError):
        return None
    return body if isinstance(body, dict) else None


def _token(told: dict[str, str]) -> str:
    named = told.get("TRADINGBOT_HTTP_TOKEN_FILE")
    if not named:
        return told.get("TRADINGBOT_HTTP_TOKEN", "")
    try:
        return Path(named).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
