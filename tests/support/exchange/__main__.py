"""`python -m support.exchange --port N`: the stand-in as a process."""

import argparse
import asyncio
import contextlib

from support.exchange.server import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().port))
