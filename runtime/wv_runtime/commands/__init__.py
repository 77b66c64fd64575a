"""The commands wv-run, wv-mel and wv-inspect, and what all commands of the project share."""
