"""The import contracts of pyproject.toml name modules one by one: one that is new must not be forgotten."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The command line, Python's way to the same, final, and what these are made of; by whom the holdout is reached.
MAY = {"__init__", "__main__", "api", "boards", "chain", "cli", "commands", "elsewhere", "finals", "holdout"}


def test_every_module_is_barred_from_the_holdout_but_those_that_are_meant_to_reach_it():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (barred,) = (one["source_modules"] for one in contracts if one.get("forbidden_modules") == ["bench.holdout"])
    there = {
        path.stem for path in (ROOT / "bench").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert {f"bench.{name}" for name in there - MAY} == {name for name in barred if name.startswith("bench.")}
    assert {"dashboards", "search_spaces"} <= {*barred}
