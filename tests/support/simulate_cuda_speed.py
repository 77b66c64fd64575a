"""The measurements of wv_bench.gpu_speed under numba-cuda's simulator: that they run, not what they say.

Usage: ``python simulate_cuda_speed.py`` prints the result of `speed` and of `steps`, in a list.
"""

import json
import os

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

from model_fixtures import tiny_config, tiny_model  # noqa: E402
from wv_bench import gpu_speed  # noqa: E402
from wv_runtime.engine.cuda_net import CudaNet  # noqa: E402

net = CudaNet(tiny_model("int8", cfg=tiny_config(), block=(16, 4)))
print(json.dumps([gpu_speed.speed(net, 2, 1, 1), gpu_speed.steps(net, (1, 2), 1, 1)]))
