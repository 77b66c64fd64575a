"""``python -m wv_train`` is wv-train."""

from .cli import main

main()
