"""``python -m cline_otel``: the command line, without knowing where its script was installed."""

from __future__ import annotations

from cline_otel.cli.main import main

if __name__ == "__main__":
    main()
