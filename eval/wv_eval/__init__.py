"""How good a .bin is: likelihood and copy synthesis of a data folder's clips. Usage: ``wv-eval out.bin --data DIR``."""
