"""``python -m verification.failover``."""

from __future__ import annotations

import sys

from verification.failover.conductor import main

if __name__ == "__main__":
    sys.exit(main())
