"""Where the repository is, and what to do about tests of its source where that is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
SOURCE: Final = ROOT / "src" / "cline_otel"

needs_source: Final = pytest.mark.skipif(not (SOURCE / "__init__.py").exists(), reason="the source is not here")
"""`make test-wheel` takes the source away. Where any code of the package will do, ask the imported package for it."""
