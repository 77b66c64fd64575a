"""wv-train, also as ``python -m wv_train``: one clear line where torch is not installed."""

import sys


def main() -> None:
    try:
        from .cli import main as wv_train
    except ModuleNotFoundError as error:
        sys.exit(f"wv-train: error: {error.name}: not installed, wanted for training; pip install 'wavernn[train]'")
    except KeyboardInterrupt:  # while torch is being imported
        print("wv-train: error: interrupted", file=sys.stderr)
        sys.exit(130)
    wv_train()


if __name__ == "__main__":
    main()
