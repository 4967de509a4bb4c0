"""Requirements of installed packages that are not met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from packaging.requirements import InvalidRequirement, Requirement

from .facts import Package, plain_name


def unmet(installed: Mapping[str, Package]) -> Iterator[tuple[str, str]]:
    """What ``pip check`` would name.

    Args:
        installed (Mapping[str, Package]): By plain name.

    Yields:
        tuple[str, str]: What is wrong, and the requirement.
    """
    for name, package in installed.items():
        for text in package.requires:
            try:
                wanted = Requirement(text)
            except InvalidRequirement:
                continue  # of an old package; pip passes over it, too
            if wanted.marker and not wanted.marker.evaluate({'extra': ''}):
                continue
            there = installed.get(plain_name(wanted.name))
            asked = f'{wanted.name}{wanted.specifier}'
            owner = f'{name} {package.version} needs {asked}'
            if there is None:
                yield f'{owner}, which is not installed', asked
            elif not wanted.specifier.contains(
                there.version, prereleases=True
            ):
                yield f'{owner}, installed is {there.version}', asked
