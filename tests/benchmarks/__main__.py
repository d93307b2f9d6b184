"""All figures as one table: `uv run python -m tests.benchmarks [name ...]`. Compare ratios within a run; machines differ and are noisy."""

import importlib
import sys

PARTS = ("start", "rotation", "key_list", "key_options", "publish", "audit_log")


def main(names: list[str]) -> None:
    for name in names or PARTS:
        rows = importlib.import_module(f"tests.benchmarks.{name}").run()
        print(f"\n## {name.replace('_', ' ')}\n\n| figure | measured | reach |\n|---|---|---|")
        for row in rows:
            print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
