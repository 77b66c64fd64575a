"""Instructions, cycles and estimated real-time factors on ARM cores: ``python -m wv_bench.arm``."""
