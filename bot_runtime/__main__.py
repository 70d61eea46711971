"""`python -m bot_runtime` is `tradingbot`."""

import sys

from bot_runtime.cli.main import main

sys.exit(main())
