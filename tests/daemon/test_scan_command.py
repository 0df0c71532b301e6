"""``soundspool scan``: what the timer drops when it is due, dropped now."""

import yaml

from daemon.cli.scan_command import scan


def test_scan_says_what_it_asks_for(tmp_path):
    """The drop is whole at once, and holds the options of this one run."""
    config = tmp_path / "config.yaml"
    config.write_text("root: spool\ninboxes:\n  archive: {handler: daemon.handlers.library}\n")
    inbox = tmp_path / "spool" / "inbox" / "archive"
    inbox.mkdir(parents=True)
    flags = {"full": False, "accept_removals": True, "wait": False, "as_json": False}
    code = scan(config, None, ["Albums/2026"], **flags)
    (drop,) = inbox.glob("scan 2*Z.scan")

    assert 0 == code
    assert {"under": ["Albums/2026"], "accept_removals": True} == yaml.safe_load(drop.read_text())
    assert drop.with_name(f"{drop.name}.done").exists()
