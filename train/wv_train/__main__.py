"""wv-train, also as ``python -m wv_train``, and wv-verify: one clear line where torch is not installed."""

import importlib
import sys


def main() -> None:
    _start("wv-train", "cli", "training")


def verify() -> None:
    _start("wv-verify", "verify", "the comparison")


def _start(name: str, module: str, purpose: str) -> None:
    try:
        command = importlib.import_module(f"wv_train.{module}").main
    except ModuleNotFoundError as error:
        sys.exit(f"{name}: error: {error.name}: not installed, wanted for {purpose}; pip install 'wavernn[train]'")
    except KeyboardInterrupt:  # while torch is being imported
        print(f"{name}: error: interrupted", file=sys.stderr)
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
