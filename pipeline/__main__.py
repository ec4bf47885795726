"""``python3 -m pipeline`` is ``respin``."""

from pipeline.cli.main import main

main()
