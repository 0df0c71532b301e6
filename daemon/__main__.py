"""``python -m daemon`` is ``soundspool``."""

from daemon.cli import main

main()
