"""One figure of the benchmark."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Optional


@dataclass(frozen=True)
class Figure:
    """A ratio of two things measured in turn, with its bar.

    Args:
        case (dict): Parameters that tell it from others of its part.
        quantity (str): ``'time'``, ``'memory'``, ``'growth of time'``, ...
        ratio (float, optional): Ours over the other: less is better. None
            for a plain value.
        ours (float, optional): Its value, in ``unit``.
        other (float, optional): The same of the other.
        than (str): What the other is.
        unit (str): ``'s'``, ``'bytes'`` or free text. Defaults to ``'s'``.
        spread (tuple[float, float], optional): Quartiles of the ratio.
        bar (float, optional): What the ratio, or else the value, should not
            exceed.
        rounds (int, optional): How often it was measured.
        note (str): What one must know to read it.
    """

    case: dict[str, Any]
    quantity: str
    ratio: Optional[float] = None
    ours: Optional[float] = None
    other: Optional[float] = None
    than: str = ''
    unit: str = 's'
    spread: Optional[tuple[float, float]] = None
    bar: Optional[float] = None
    rounds: Optional[int] = None
    note: str = ''
    met: Optional[bool] = field(init=False)

    def __post_init__(self) -> None:
        value = self.ours if self.ratio is None else self.ratio
        known = self.bar is not None and value is not None
        object.__setattr__(self, 'met', value <= self.bar if known else None)

    @property
    def name(self) -> str:
        """``'B=64, form=log: time'``."""
        items = ', '.join(f'{k}={v}' for k, v in self.case.items())
        return f'{items}: {self.quantity}' if items else self.quantity

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; what is not known is left out."""
        items = asdict(self).items()
        return {k: v for k, v in items if v is not None and v != ''}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> 'Figure':
        """Read :meth:`to_dict`; other keys become part of the case."""
        names = {f.name for f in fields(cls) if f.init}
        known = {k: v for k, v in data.items() if k in names}
        case = dict(known.pop('case', {}))
        case |= {
            k: v for k, v in data.items() if k not in names and k != 'met'
        }
        if known.get('spread') is not None:
            known['spread'] = tuple(known['spread'])
        return cls(case=case, **known)


def time_figure(case: dict, ratio, than: str, **kwargs) -> Figure:
    """A figure of a :class:`~.timing.Ratio`."""
    return Figure(
        case,
        kwargs.pop('quantity', 'time'),
        ratio.ratio,
        *ratio.seconds,
        than,
        spread=ratio.spread,
        rounds=ratio.rounds,
        **kwargs,
    )


def memory_figure(
    case: dict, ours: int, other: int, than: str, **kwargs
) -> Figure:
    """A figure of two peaks in bytes; no ratio where the other is too small.

    The kernel counts pages, by the thousand: below a megabyte it is noise.
    """
    ratio = ours / other if other >= 2**20 else None
    if ratio is None:
        kwargs.pop('bar', None)
        kwargs['note'] = 'too small to be told from noise'
    return Figure(
        case, 'memory', ratio, ours, other, than, unit='bytes', **kwargs
    )
