"""``python3 -m pipeline`` is ``respin``."""

from pipeline.cli import main

main()
