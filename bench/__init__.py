"""bench: which model family is best on this data set, and how sure is that?

    import bench

    result = bench.search("cnn", trials=50)
    print(result, bench.leaderboard())

What this module offers is imported when it is first asked for; `import bench` itself loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bench import errors
    from bench.api.leaderboard import Leaderboard, leaderboard
    from bench.api.result import SearchResult, SearchResults, studies
    from bench.api.searching import final, search
    from bench.engines.hypermodel import from_hypermodel
    from bench.family import Family
    from bench.space import Choice, Float, Int, SearchSpace, When

__all__ = [
    "Choice", "Family", "Float", "Int", "Leaderboard", "SearchResult", "SearchResults", "SearchSpace", "When",
    "__version__", "errors", "final", "from_hypermodel", "leaderboard", "search", "studies",
]  # fmt: skip

_MODULES = {
    "bench.api.leaderboard": ("Leaderboard", "leaderboard"),
    "bench.api.result": ("SearchResult", "SearchResults", "studies"),
    "bench.api.searching": ("final", "search"),
    "bench.engines.hypermodel": ("from_hypermodel",),
    "bench.family": ("Family",),
    "bench.space": ("Choice", "Float", "Int", "SearchSpace", "When"),
}

if not TYPE_CHECKING:  # a type checker would take every name for one of the module's

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name == "errors":
            return import_module("bench.errors")
        for module, names in _MODULES.items():
            if name in names:
                globals()[name] = value = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module 'bench' has no attribute {name!r}; it offers {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
