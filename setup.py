"""Map the rooms at the top of the repository to `trailmark.*`; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

ROOMS = ("data", "envs", "agents", "experiments", "configs")
packages = [f"trailmark.{name}" for room in ROOMS for name in (room, *(f"{room}.{sub}" for sub in find_packages(room)))]
setup(packages=packages, package_dir={f"trailmark.{room}": room for room in ROOMS})
