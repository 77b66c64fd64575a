"""The lowest versions that pyproject.toml allows, as constraints for pip: ``name==version``, one a line.

Usage: ``python release/lowest.py audio test >lowest.txt`` for the dependencies and those of some extras
"""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from packaging.requirements import Requirement


def lowest(extras: list[str]) -> dict[str, str]:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [r for extra in extras for r in project["optional-dependencies"][extra]]
    found = {}
    for requirement in map(Requirement, wanted):
        for bound in requirement.specifier:
            if bound.operator == ">=":
                found[requirement.name] = bound.version
    return found


if __name__ == "__main__":
    for name, version in lowest(sys.argv[1:]).items():
        print(f"{name}=={version}")
