"""What a fork server imports before it forks: a module that mints."""

from __future__ import annotations

from tests.programs.forker import begin, mint

begin()
mint("preloaded")
