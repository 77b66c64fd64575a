"""wv-eval, also as ``python -m wv_eval``: one clear line where what it always needs is not installed."""

import sys


def main() -> None:
    try:
        from .cli import main as wv_eval
    except ModuleNotFoundError as error:
        sys.exit(f"wv-eval: error: {error.name}: not installed, wanted for evaluation; pip install 'wavernn[eval]'")
    wv_eval()


if __name__ == "__main__":
    main()
