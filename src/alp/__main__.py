"""``python -m alp`` is the command ``alp``."""

from __future__ import annotations

import sys

from alp.cli import main

if __name__ == "__main__":
    sys.exit(main())
