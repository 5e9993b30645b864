from __future__ import annotations

from pathlib import Path

import pytest

from cline_otel.sources.cline_log import cline_log_path


@pytest.mark.parametrize(
    ("environment", "cline_directory", "expected"),
    [
        ({"HOME": "/h"}, None, "/h/.cline/data/logs/cline.log"),
        ({"HOME": "/h", "CLINE_DIR": "/c"}, None, "/c/data/logs/cline.log"),
        ({"HOME": "/h", "CLINE_DIR": "/c", "CLINE_DATA_DIR": "/d"}, None, "/d/logs/cline.log"),
        ({"HOME": "/h", "CLINE_DIR": "/c", "CLINE_DATA_DIR": "/d"}, Path("/o"), "/o/data/logs/cline.log"),
        ({"HOME": "/h", "CLINE_LOG_PATH": " /l/x.log "}, Path("/o"), "/l/x.log"),
        ({"HOME": "/h", "CLINE_LOG_PATH": " ", "CLINE_DIR": " "}, None, "/h/.cline/data/logs/cline.log"),
    ],
)
def test_the_log_lies_where_cline_would_write_it(
    environment: dict[str, str], cline_directory: Path | None, expected: str
) -> None:
    assert cline_log_path(environment, cline_directory) == Path(expected)
