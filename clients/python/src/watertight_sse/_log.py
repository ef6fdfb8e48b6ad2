"""The package's logger: ``watertight_sse``. No line of it holds a token, a key, a header, a body or the query of a URL."""

from __future__ import annotations

import logging

logger = logging.getLogger("watertight_sse")
