"""Other runtimes beside this one: ``python -m wv_bench.peers.runtimes``, ``python -m wv_bench.peers.native``."""
