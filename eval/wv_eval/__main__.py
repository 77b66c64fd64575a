"""wv-eval, also as ``python -m wv_eval``: one clear line where what it always needs is not installed."""

from functools import partial

from wv_runtime.start import start

main = partial(start, "wv-eval", "wv_eval.cli", "eval", "evaluation")


if __name__ == "__main__":
    main()
