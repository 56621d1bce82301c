"""How fast the library is, beside others and beside floors, in one run each.

    python -m benchmarks [SECTION ...] [--quick]

Machines differ and are noisy. So all that is compared runs in one process, in turns,
and what counts are ratios of medians.
"""

from __future__ import annotations
