"""The GPU that numba-cuda finds, and whether it is there at all.

Usage: ``cuda = check_gpu()``
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from typing import Any

import numpy as np

from wv_runtime.errors import NativeError

MIN_CAPABILITY = (6, 1)  # has dp4a


def check_package() -> None:
    """Raises NativeError if numba-cuda is missing, or if its compiler does not load."""
    wanted = "wanted pip install 'wavernn[cuda]'"
    if importlib.util.find_spec("numba_cuda") is None:
        raise NativeError(f"backend cuda: numba-cuda is not installed, {wanted}")
    from numba import config

    if config.ENABLE_CUDASIM and importlib.util.find_spec("greenlet") is None:  # type: ignore[attr-defined]
        raise NativeError("backend cuda: found NUMBA_ENABLE_CUDASIM without greenlet, wanted pip install greenlet")
    from wv_runtime.engine.kernels.device import SIMULATED

    if not SIMULATED:
        try:
            import numba.cuda.cudaimpl  # noqa: F401  Numba would import it only when it compiles a kernel
        except (AttributeError, ImportError) as e:  # as with a NumPy that is too new
            found = f"numba-cuda {version('numba-cuda')} with NumPy {np.__version__}"
            raise NativeError(f"backend cuda: found {found}, which does not load ({e}), {wanted}") from None


def check_gpu() -> Any:
    """numba.cuda, once there is a GPU to run on.

    Raises
    ------
    NativeError
        If numba-cuda or the GPU is missing.
    """
    check_package()
    from numba import cuda

    from wv_runtime.engine.kernels.device import SIMULATED

    if not SIMULATED:
        if not cuda.is_available():
            raise NativeError("backend cuda: found no NVIDIA GPU with a driver, wanted one that numba-cuda can use")
        found = cuda.get_current_device().compute_capability
        if tuple(found) < MIN_CAPABILITY:
            raise NativeError(f"backend cuda: found compute capability {found[0]}.{found[1]}, wanted at least 6.1")
    return cuda


def device_name() -> str:
    """Of the GPU and its compute capability, as "H100 sm_90"."""
    from wv_runtime.engine.kernels.device import SIMULATED

    if SIMULATED:
        return "simulator"
    device = check_gpu().get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else str(device.name)
    return f"{name} sm_{''.join(map(str, device.compute_capability))}"


def allow_shared(compiled: Any, n_bytes: int) -> None:
    """Let a kernel take up to n_bytes of shared memory a block: CUDA wants to be asked for more than NO_OPT_IN."""
    from cuda.bindings import driver

    function = compiled._codelibrary.get_cufunc()
    attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    handle = function.handle
    if type(handle).__name__ == "CUkernel":
        (status,) = driver.cuKernelSetAttribute(attribute, n_bytes, handle, driver.CUdevice(function.device.id))
    else:
        (status,) = driver.cuFuncSetAttribute(handle, attribute, n_bytes)
    if int(status) != 0:
        raise NativeError(f"backend cuda: {n_bytes} bytes of shared memory a block: the driver says {status.name}")
