"""wv-train, also as ``python -m wv_train``: one clear line where torch is not installed."""

import sys


def main() -> None:
    try:
        from .cli import main as wv_train
    except ModuleNotFoundError as error:
        sys.exit(f"wv-train: error: {error.name}: not installed, wanted for training; pip install 'wavernn[train]'")
    wv_train()


if __name__ == "__main__":
    main()
