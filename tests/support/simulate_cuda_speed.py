"""The measurements of wv_bench.gpu_speed under numba-cuda's simulator: that they run, not what they say.

Usage: ``python simulate_cuda_speed.py`` prints the result of `speed`, of `steps`, and of `steps` of subscale
lanes over more than a sub-frame, in a list.
"""

import json
import os

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

from model_fixtures import tiny_config, tiny_model  # noqa: E402
from wv_bench import gpu_speed  # noqa: E402
from wv_runtime.engine.cuda_net import CudaNet  # noqa: E402

net = CudaNet(tiny_model("int8", cfg=tiny_config(), block=(16, 4)))
lanes = CudaNet(tiny_model("int8", cfg=tiny_config(lpc_order=4, subscale=2, lookback=3), block=(16, 4)))
found = [gpu_speed.speed(net, 2, 1, 1), gpu_speed.steps(net, (1, 2), 1, 1), gpu_speed.steps(lanes, (1, 2), 12, 1)]
print(json.dumps(found))
