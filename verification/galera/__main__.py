"""``python -m verification.galera``."""

from __future__ import annotations

import sys

from verification.galera.conductor import main

if __name__ == "__main__":
    sys.exit(main())
