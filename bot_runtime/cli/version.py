"""`tradingbot --version`, with typer and without."""

from importlib.metadata import version


def version_line() -> str:
    return f"tradingbot {version('tradingbot-operator')}"
