"""`python -m benchmarks [NAME…]`: measure, note in docs/benchmarks.json, write docs/benchmarks.md."""

import argparse
import sys
import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from benchmarks.context import Context, NotInstalledError
from benchmarks.report import keep, machine, write

#: In the order of the report.
ALL = ("bot_process", "backtest", "heartbeat", "service", "live_path", "connections", "fleet", "real_pods", "peers")
#: Those that need a cluster.
ON_A_CLUSTER = ("fleet", "real_pods")
#: Those that are run where they are asked for alone: they need environments of their own.
APART = ("peers",)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*ALL, []], help=", ".join(ALL))
    failed = 0
    for name in parser.parse_args().names or [name for name in ALL if name not in APART]:
        print(f"{name} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="tradingbot-bench-") as folder, Context(Path(folder)) as context:
            try:
                section = import_module(f"benchmarks.{name}").measure(context)
                about = (*machine(name), *context.versions(), *section.about)
            except NotInstalledError as error:
                print(f"{name}: not measured: {error}")
                failed = 1
                continue
        for figure in section.figures:
            print(f"  {figure.what}: {figure.ours}, ratio {figure.ratio}", flush=True)
        keep(replace(section, about=about))
        write(ALL)
    return failed


if __name__ == "__main__":
    sys.exit(main())
