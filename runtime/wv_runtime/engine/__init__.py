"""What turns log-mels into samples: Numba kernels or libwavernn behind one Stream, the same bits from both."""
