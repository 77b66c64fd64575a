"""wv-eval, also as ``python -m wv_eval``: one clear line where what it always needs is not installed."""

import sys


def main() -> None:
    try:
        from .cli import main as wv_eval
    except ModuleNotFoundError as error:
        sys.exit(f"wv-eval: error: {error.name}: not installed, wanted for evaluation; pip install 'wavernn[eval]'")
    except KeyboardInterrupt:  # while torch is being imported
        print("wv-eval: error: interrupted", file=sys.stderr)
        sys.exit(130)
    wv_eval()


if __name__ == "__main__":
    main()
