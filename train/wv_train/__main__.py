"""wv-train, also as ``python -m wv_train``, wv-pack, wv-verify and wv-prune: one clear line where torch is not
installed."""

from functools import partial

from wv_runtime.start import start

main = partial(start, "wv-train", "wv_train.cli", "train", "training")
pack = partial(start, "wv-pack", "wv_train.pack", "train", "training")
verify = partial(start, "wv-verify", "wv_train.verify", "train", "the comparison")
prune_once = partial(start, "wv-prune", "wv_train.prune_once", "train", "pruning")


if __name__ == "__main__":
    main()
