"""``python -m daemon`` is ``soundspool``."""

from daemon.cli.main import main

main()
