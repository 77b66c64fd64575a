"""The CUDA engine under numba-cuda's simulator, which Numba picks when it is loaded: hence a process of its own.

Usage: ``python simulate_cuda.py MODEL.bin SHARED_BYTES STREAMS`` prints a list of samples for each stream. STREAMS is
JSON, [[n_frames, seed, temperature, [samples of each pull, ..]], ..]; the streams pull in step, in one batch.
SHARED_BYTES 0 is all there are.
"""

import json
import os
import sys
import warnings

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
warnings.simplefilter("ignore")  # of NumPy's scalars, where uint64 wraps around

import numpy as np  # noqa: E402
from model_fixtures import tiny_mel  # noqa: E402
from wv_runtime.engine.cuda import CudaBatch, CudaNet, CudaStream  # noqa: E402
from wv_runtime.model import binary  # noqa: E402


def main() -> None:
    model, streams = binary.load(sys.argv[1]), json.loads(sys.argv[3])
    net, opened = CudaNet(model, int(sys.argv[2]) or None), []
    for n_frames, seed, temperature, _ in streams:
        opened.append(CudaStream(net, seed, temperature, bool(model.postfilter)))
        opened[-1].push(tiny_mel(model.config, n_frames, seed % 97))
        opened[-1].finish()
    pcm = [np.zeros(0, np.int16) for _ in streams]
    for step in range(max(len(pulls) for *_, pulls in streams)):
        n = [pulls[step] if step < len(pulls) else 0 for *_, pulls in streams]
        pcm = [np.concatenate(parts) for parts in zip(pcm, CudaBatch(net).pull(opened, n))]
    print(json.dumps([p.tolist() for p in pcm]))


if __name__ == "__main__":
    main()
