"""From a checkpoint of wv-train to a .bin: ``wv-export model.pt out.bin``."""
