"""wv-export, also as ``python -m wv_export``."""

from functools import partial

from wv_runtime.start import start

main = partial(start, "wv-export", "wv_export.cli")


if __name__ == "__main__":
    main()
