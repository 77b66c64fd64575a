"""The CUDA engine under numba-cuda's simulator, which Numba picks when it is loaded: hence a process of its own.

Usage: ``python simulate_cuda.py JOBS`` prints a list of samples for each stream of each job. JOBS is JSON,
[[path of a model, bytes of shared memory (0: all there are), threads a block (0: the whole grid), streams], ..];
streams are [[n_frames, frames before the first pull, seed, temperature, [samples of each pull, ..]], ..] and pull in
step, in one batch.
"""

import json
import os
import sys
import warnings

os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
warnings.simplefilter("ignore")  # of NumPy's scalars, where uint64 wraps around

import numpy as np  # noqa: E402
from model_fixtures import tiny_mel  # noqa: E402
from wv_runtime.engine import cuda  # noqa: E402
from wv_runtime.engine.cuda import CudaBatch, CudaStream  # noqa: E402
from wv_runtime.engine.cuda_net import CudaNet  # noqa: E402
from wv_runtime.model import binary  # noqa: E402


def samples(path: str, shared_bytes: int, n_threads: int, streams: list) -> list[list[int]]:
    """Of each stream"""
    model = binary.load(path)
    net, opened = CudaNet(model, shared_bytes or None, grid=not n_threads), []
    net.n_threads = n_threads
    mels = [tiny_mel(model.config, n_frames, seed % 97) for n_frames, _, seed, _, _ in streams]
    for mel, (_, n_first, seed, temperature, _) in zip(mels, streams):
        opened.append(CudaStream(net, seed, temperature, bool(model.postfilter)))
        opened[-1].push(mel[:, :n_first])
    pcm = [np.zeros(0, np.int16) for _ in streams]
    for step in range(max(len(pulls) for *_, pulls in streams)):
        for stream, mel, (n_frames, n_first, *_) in zip(opened, mels, streams):
            if step == 1 and n_first < n_frames:
                stream.push(mel[:, n_first:])
            if step == 1 or n_first == n_frames:
                stream.finish()
        n = [pulls[step] if step < len(pulls) else 0 for *_, pulls in streams]
        pcm = [np.concatenate(parts) for parts in zip(pcm, CudaBatch(net).pull(opened, n))]
    return [p.tolist() for p in pcm]


if __name__ == "__main__":
    cuda.CONDITIONING_BYTES = 2**13  # room for so few sub-frames that pulls, and subscale streams, go in parts
    print(json.dumps([samples(*job) for job in json.loads(sys.argv[1])]))
