"""Plant every fault and count those that the doctor finds.

Usage: python -m tests.doctor
"""

import sys
import tempfile
from pathlib import Path

from .bench import Bench
from .faults import FAULTS, Fault


def problem(bench: Bench, fault: Fault) -> str:
    """What is wrong with what the doctor says of a fault; '' if nothing."""
    statuses, findings = bench.examine(fault.plant)
    changed = set(bench.changed(statuses, findings))
    if changed != {fault.check, *fault.also}:
        told = [f'{f["name"]}: {f["found"]}' for f in findings]
        told = [t for t in told if t.partition(':')[0] in changed]
        return f'noticed by {sorted(changed)}: {told}'
    cures = [
        finding['cure']
        for finding in findings
        if (finding['name'], finding['status']) == (fault.check, fault.status)
    ]
    if not any(fault.cure in cure for cure in cures):
        return f'no {fault.status} with that cure, but {findings}'
    return ''


def main() -> int:
    """Return 0 if all were found."""
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for fault in FAULTS:
            wrong = problem(bench, fault)
            found += not wrong
            print(f'{"found" if not wrong else "NOT"} {fault.name} {wrong}')
    print(f'faults found: {found} of {len(FAULTS)}')
    return int(found < len(FAULTS))


if __name__ == '__main__':
    sys.exit(main())
