"""The trainer: needs torch. Usage: ``wv-train DATA_DIR -o model.pt``."""
