"""``python -m flowcli``: the same as the ``flowcli`` command."""

from __future__ import annotations

from flowcli.cli.main import main

if __name__ == "__main__":
    main()
