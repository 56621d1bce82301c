"""``python -m verification.soak``."""

from __future__ import annotations

import sys

from verification.soak.conductor import main

if __name__ == "__main__":
    sys.exit(main())
