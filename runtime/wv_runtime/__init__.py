"""WaveRNN on the CPU: read a .bin, turn log-mels into 16-bit audio.

Usage: ``from wv_runtime.synth import Synthesizer``
"""

__version__ = "0.1.0"
