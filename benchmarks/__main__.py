"""Run sections of the benchmarks, and write what they found into the docs.

python -m benchmarks [SECTION ...] [--quick] [--print]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module

from benchmarks import report

SECTIONS = ["peers", "hot_path", "truth", "rows", "claims", "weight", "endpoint"]


def main() -> int:
    """Do what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    parser.add_argument("--quick", action="store_true", help="small, and rough")
    parser.add_argument("--print", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"{sorted(unknown)} not in {SECTIONS}")
    names = arguments.sections or SECTIONS
    if len(names) == 1:
        run(names[0], quick=arguments.quick, write=not arguments.print)
        return 0
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    # Each in a process of its own: Django is set up once in a process.
    commands = [[sys.executable, "-m", "benchmarks", one, *options] for one in names]
    return max(subprocess.run(command, check=False).returncode for command in commands)


def run(name: str, *, quick: bool, write: bool) -> None:
    """Run one section."""
    print(f"\n## {name}\n", flush=True)
    section: report.Section = import_module(f"benchmarks.{name}").run(quick=quick)
    print(report.table(section), *section.notes, sep="\n", flush=True)
    if write:
        report.write(section)


if __name__ == "__main__":
    sys.exit(main())
