"""What got worse against an earlier run: ratios of ratios."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .report import figures_of

TOLERANCE = 0.15


class Change(NamedTuple):
    """One figure then and now."""

    part: str
    name: str
    before: float
    now: float

    @property
    def factor(self) -> float:
        """The ratio now over that before; above 1 is worse."""
        return self.now / self.before

    def __str__(self) -> str:
        return (
            f'{self.part}: {self.name}: {self.before:.3g} -> {self.now:.3g}, '
            f'{self.factor:.2f} times'
        )


def machine_differences(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> list[str]:
    """What tells the kinds of machine of two reports apart, in words."""
    found = []
    for name in ('kind', 'cores', 'threads'):
        old, new = before['machine'].get(name), now['machine'].get(name)
        if old != new:
            found.append(f'{name} {old}, now {new}')
    if before.get('device') != now.get('device'):
        found.append(f'device {before.get("device")}, now {now["device"]}')
    return found


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Compare the figures that both reports have as ratios.

    Each is already a ratio of two things run in turn, so that a slower day of
    the machine falls out of it.

    Args:
        before (Mapping[str, Any]): From :func:`~.report.read_report`.
        now (Mapping[str, Any]): The same.

    Returns:
        list[Change]: the worst first.
    """
    found = []
    for part in now['parts']:
        old = {f.name: f.ratio for f in figures_of(before, part) if f.ratio}
        found += [
            Change(part, f.name, old[f.name], f.ratio)
            for f in figures_of(now, part)
            if f.ratio and f.name in old
        ]
    return sorted(found, key=lambda change: -change.factor)


def lost(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say which bars are met no more, and which figures are gone.

    Args:
        before (Mapping[str, Any]): From :func:`~.report.read_report`.
        now (Mapping[str, Any]): The same; its parts are looked at.
    """
    found = []
    for part in now['parts']:
        new = {f.name: f for f in figures_of(now, part)}
        for old in figures_of(before, part):
            figure = new.get(old.name)
            if figure is None:
                found.append(f'{part}: {old.name}: not measured any more')
            elif old.met and figure.met is False:
                found.append(f'{part}: {old.name}: its bar is met no more')
    return found


def regressions(
    found: list[Change], tolerance: float = TOLERANCE
) -> list[Change]:
    """Those that got worse by more than ``tolerance``."""
    return [change for change in found if change.factor > 1 + tolerance]
