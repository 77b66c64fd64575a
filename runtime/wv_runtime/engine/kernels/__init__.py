"""The numerical kernels: Numba twins of libwavernn/kernels, function by function. They check nothing."""
