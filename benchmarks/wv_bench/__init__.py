"""wv-bench measures the runtime; wv-predict estimates its real-time factor on a device that is not at hand."""
