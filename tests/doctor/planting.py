"""What a planted fault is, and how one is written down."""

from collections.abc import Callable
from typing import NamedTuple

from micacl_mm.doctor import facts

from .bench import PACKAGES, Bench

FAULTS = []


class Fault(NamedTuple):
    """What is planted, and the one check that is to notice it.

    ``also`` names checks that must notice it too, as it is their matter.
    """

    name: str
    check: str
    status: str
    cure: str
    plant: Callable[[Bench], None]
    also: tuple[str, ...] = ()


def fault(check, status, cure, also=()):
    def register(plant):
        name = plant.__name__.replace('_', ' ')
        FAULTS.append(Fault(name, check, status, cure, plant, also))
        return plant

    return register


def of_config(name, check, status, cure, lines, also=()):
    """A fault that is some lines of the config."""

    def plant(bench):
        bench.config += lines

    FAULTS.append(Fault(name, check, status, cure, plant, also))


def of_machine(name, check, status, cure, **answers):
    """A fault that is what the machine says of itself."""

    def plant(bench):
        for key, value in answers.items():
            bench.machine(key, value)

    FAULTS.append(Fault(name, check, status, cure, plant))


def of_package(name, check, status, cure, **versions):
    """A fault that is a version."""
    packages = {k.replace('_', '-'): v for k, v in versions.items()}
    answers = {**PACKAGES, **packages}
    of_machine(name, check, status, cure, packages=answers)


def package(version, *requires):
    return facts.Package(version, requires)
