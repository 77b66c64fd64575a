"""The CUDA engine under numba-cuda's simulator, in processes of their own: Numba picks the simulator when it is loaded."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from wv_bench import gpu_check
from wv_bench.synthetic import synthetic_config, synthetic_model
from wv_runtime import NativeError, load
from wv_runtime.engine.synth import Voice

NEEDS_CUDA = pytest.mark.skipif(importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
LPC = {"lpc_order": 3}
SHAPES = {
    "bytes": ((64, 32), (16, 4), {"preemphasis": 0.0}),
    "blocks of 4, n_out above the units": ((64, 80), (4, 4), {"n_sub": 1}),
    "linear prediction": ((128, 16), (32, 4), LPC),
}
# Frames, seed, temperature, and where the pulls cut the samples
STREAMS = ((1, 5, 1.0, (0, 13)), (2, 2**64 - 1, 0.3, (0, 4, 9, 21)), (2, 0, 5.0, (0, 1)))

SIMULATED = """
import json, sys, warnings
warnings.simplefilter("ignore")  # of NumPy's scalars, where uint64 wraps around
import numpy as np
sys.path.insert(0, "tests/parity")
import test_cuda as t
voice = t.Voice(t.model(sys.argv[1]), "cuda")
print(json.dumps([p.tolist() for p in t.pulled(voice, sys.argv[2] == "batch")]))
"""


def model(name):
    (n_units, n_out), block, changes = SHAPES[name]
    cfg = synthetic_config(n_units, n_out, "16k", **changes)
    return lpc_model(cfg, block) if changes is LPC else synthetic_model(cfg, 0.5, block, "int8")
