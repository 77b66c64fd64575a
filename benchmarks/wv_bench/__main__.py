"""wv-bench, also as ``python -m wv_bench``, and wv-predict."""

from functools import partial

from wv_runtime.start import start

main = partial(start, "wv-bench", "wv_bench.bench")
predict = partial(start, "wv-predict", "wv_bench.predict")


if __name__ == "__main__":
    main()
