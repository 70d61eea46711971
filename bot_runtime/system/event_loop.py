"""The event loop that everything here can run on: psycopg refuses the one that Windows has by default."""

import asyncio
import sys
from typing import Any


def prefer_selector_loop(platform: str = sys.platform, policies: Any = asyncio) -> None:
    """Make `asyncio.run` use a selector loop on Windows. Everywhere else nothing is changed."""
    if platform == "win32":
        policies.set_event_loop_policy(policies.WindowsSelectorEventLoopPolicy())
