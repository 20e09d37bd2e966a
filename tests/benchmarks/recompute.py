"""Every number of a leaderboard, made again without bench: `python tests/benchmarks/recompute.py HOME DATASET`.

Starts from what an exam leaves behind: the probabilities and labels in predictions.npz, the manifests, the ledger and
the number of validation images in seal.json. No result.json and no stored comparison is read, and nothing of bench is
imported; numpy and scipy compute. The formulas are those that the documentation names, written a second time.

The JSON must agree to nine digits, the most that two ways to compute a tail probability can be asked for; the cells of
the Markdown to the last digit shown. Prints what was compared, and ends with 1 where anything differs. What stands
below the table in sentences is not compared.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from again import LEVEL, Tested, accuracy_interval, equivalence, holm, superiority, tested
from cells import cells
from scipy import stats

DIGITS = 1e-9
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
COPIED = {  # a row's name -> the manifest's; these were counted by the search
    "family": "family", "engine": "engine", "study": "study", "study_id": "study_id", "trials": "trials",
    "pruned": "pruned", "failed": "failed", "search_seconds": "search_seconds", "params": "parameters",
    "samples": "samples", "device_seconds": "device_seconds",
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """One final: its manifest and its answers, bool of shape (seeds, images); the reference's where it was tested."""

    manifest: Mapping[str, Any]
    right: np.ndarray
    reference: np.ndarray | None

    @property
    def accuracy(self) -> float:
        return float(np.count_nonzero(self.right) / self.right.size)


# --- what an exam left behind


def models_of(home: Path, dataset: str) -> list[Model]:
    """The newest final of every study, oldest first, of those that are ranked together."""
    found: dict[tuple[Any, ...], Model] = {}
    folders = [path.parent for path in (home / "results").glob("*/*/*/manifest.json")]
    manifests = [(json.loads((folder / "manifest.json").read_bytes()), folder) for folder in folders]
    for manifest, folder in sorted(manifests, key=lambda pair: (pair[0]["created"], pair[0]["id"])):
        if manifest["dataset"] != dataset or manifest.get("purpose", "winner") != "winner":
            continue
        if not (folder / "predictions.npz").is_file():
            continue
        key = tuple(manifest.get(name) for name in ("family", "engine", "study", "study_id"))
        found.pop(key, None)
        found[key] = _model(manifest, folder / "predictions.npz")
    models = list(found.values())
    for of in (_data, _split, _images):  # those like the newest
        models = [model for model in models if of(model) == of(models[-1])]
    return models


def _data(model: Model) -> Any:
    return model.manifest["data_checksum"]


def _split(model: Model) -> Any:
    return model.manifest["split_fingerprint"]


def _images(model: Model) -> Any:
    return model.right.shape[1]


def _model(manifest: Mapping[str, Any], path: Path) -> Model:
    with np.load(path, allow_pickle=False) as stored:
        labels = stored["labels"]
        right = stored["probabilities"].argmax(axis=-1) == labels
        beside = "reference_probabilities" in stored
        reference = stored["reference_probabilities"].argmax(axis=-1) == labels if beside else None
    return Model(manifest, right, reference)


def looks_of(home: Path) -> Counter[tuple[str, str]]:
    """(data checksum, family) -> lines of the ledger that say 'look'."""
    path = home / "ledger.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return Counter((e["data_checksum"], e["family"]) for e in entries if e["event"] == "look")


def validation_images(home: Path, checksum: str) -> int | None:
    """As the seal of this data says; None where it is gone."""
    seals = (json.loads(path.read_bytes()) for path in (home / "cache").glob("*/seal.json"))
    return next((seal["n_validation"] for seal in seals if seal["checksum"] == checksum), None)


# --- the rows


def document(home: Path, dataset: str, baseline: str) -> dict[str, Any]:
    """baseline and rows, as `bench leaderboard --json` has them."""
    models = models_of(home, dataset)
    count = range(len(models))
    pairs = {(a, b): tested(models[a].right, models[b].right) for a, b in combinations(count, 2)}
    fair = [pair for pair, found in pairs.items() if found.tested]
    adjusted = dict(zip(fair, holm([pairs[pair].p_value for pair in fair]), strict=True))
    better = set()
    for (a, b), p_value in adjusted.items():
        found = pairs[a, b]
        clear = found.log_bounds is None or not found.log_bounds[0] <= 0 <= found.log_bounds[1]
        if p_value < LEVEL and clear and found.difference != 0:
            better.add((a, b) if found.difference > 0 else (b, a))
    pairs |= {(b, a): found.turned() for (a, b), found in list(pairs.items())}
    against = _baseline(models, baseline)
    ranks = [1 + sum((other, one) in better for other in count) for one in count]
    order = sorted(count, key=lambda k: (ranks[k], -models[k].accuracy, models[k].manifest["family"]))
    budgets = Counter(model.manifest["trials"] for model in models)
    usual = max(budgets, key=lambda trials: (budgets[trials], trials), default=0)
    looks, rows = looks_of(home), []
    for k in order:
        level = [other for other in count if other != k and ranks[other] == ranks[k]]
        tied = any((k, other) not in better and (other, k) not in better for other in level)
        row = _row(models[k], home, looks) | {"rank": ranks[k], "tied": tied}
        row["equal_budget"] = models[k].manifest["trials"] == usual
        other = None if against is None or against == k else models[against]
        rows.append(row | _against(models[k], other, None if other is None else pairs[k, against]))
    return {"baseline": None if against is None else models[against].manifest["family"], "rows": rows}


def _baseline(models: Sequence[Model], name: str) -> int | None:
    """The newest of this family, of the optuna engine if there is one."""
    named = [k for k in reversed(range(len(models))) if models[k].manifest["family"] == name]
    return next((k for k in named if models[k].manifest["engine"] == "optuna"), named[0] if named else None)


def _row(model: Model, home: Path, looks: Counter[tuple[str, str]]) -> dict[str, Any]:
    manifest, right = model.manifest, model.right
    seeds, images = right.shape
    if seeds != len(manifest["seeds"]):
        raise SystemExit(f"{manifest['study']}: {seeds} seeds answered, the manifest froze {len(manifest['seeds'])}.")
    bounds, method = accuracy_interval(right)
    confirmed = {entry["trial"]: entry["val_accuracies"] for entry in manifest["confirm"]}.get(manifest["trial"])
    validated = float(np.mean(confirmed)) if confirmed else manifest["val_accuracy"]
    gap = validated - model.accuracy
    plausible = _plausible(model, validated, validation_images(home, manifest["data_checksum"]))
    return {
        **{name: manifest.get(frozen) for name, frozen in COPIED.items()},
        "test_accuracy": model.accuracy,
        "ci95": bounds,
        "method": method,
        "seeds": seeds,
        "errors": np.count_nonzero(~right) / seeds,
        "val_accuracy": validated,
        "test_looks": looks[manifest["data_checksum"], manifest["family"]],
        "val_minus_test": gap,
        "val_minus_test_bounds": plausible,
        "implausible": None if plausible is None else not plausible[0] <= gap <= plausible[1],
        "seed_sd": float(np.std(right.mean(axis=1), ddof=1)) if seeds > 1 else None,
        "seed_sd_expected": math.sqrt((1 - model.accuracy) / (2 * images)) if seeds > 1 else None,
        "reference": _reference(model),
    }


def _plausible(model: Model, validated: float, validation: int | None) -> list[float] | None:
    """What sampling allows in 999 of 1,000, upwards with what choosing among the trials may have lifted."""
    if validation is None:
        return None
    images = model.right.shape[1]
    pooled = (validated * validation + model.accuracy * images) / (validation + images)
    spread = pooled * (1 - pooled)
    sampling = float(stats.norm.ppf(0.9995)) * math.sqrt(spread * (1 / validation + 1 / images))
    trials = max(model.manifest["trials"] - model.manifest["failed"], 1)
    return [-sampling, sampling + math.sqrt(2 * math.log(trials) * spread / validation)]


def _reduction(pair: Tested) -> dict[str, Any]:
    found: dict[str, Any] = {"error_reduction": None, "error_reduction_ci95": None}
    if pair.log_ratio is not None and pair.log_bounds is not None:
        low, high = pair.log_bounds
        found = {
            "error_reduction": -math.expm1(pair.log_ratio),
            "error_reduction_ci95": [-math.expm1(high), -math.expm1(low)],
        }
    return {**found, "p_value": pair.p_value if pair.tested else None}


def _against(model: Model, other: Model | None, pair: Tested | None) -> dict[str, Any]:
    names = ("error_reduction", "error_reduction_ci95", "p_value", "p_better", "p_better_ci95", "p_equivalence")
    found: dict[str, Any] = dict.fromkeys(names)
    if other is None or pair is None:
        return found
    found |= _reduction(pair)
    if pair.tested:
        share, bounds = superiority(model.right, other.right)
        found |= {"p_better": share, "p_better_ci95": bounds}
        found["p_equivalence"] = equivalence(pair, model.right.shape[1])
    return found


def _reference(model: Model) -> dict[str, Any] | None:
    """The reference's own figures, and the winner against it."""
    run = model.manifest.get("reference_run")
    if run is None:
        return None
    right = model.right if run["is_winner"] else model.reference
    if right is None:
        raise SystemExit(f"{model.manifest['study']}: the reference's predictions are missing.")
    bounds, method = accuracy_interval(right)
    gain: dict[str, Any] = {
        "error_reduction": 0.0, "error_reduction_ci95": None, "p_value": None, "difference": 0.0,
        "difference_ci95": None,
    }  # fmt: skip
    if not run["is_winner"]:
        pair = tested(model.right, right)
        half = float(stats.t.ppf(0.975, pair.df)) * pair.error
        difference = [max(-1.0, pair.difference - half), min(1.0, pair.difference + half)]
        gain = _reduction(pair) | {"difference": pair.difference, "difference_ci95": difference}
    return {
        **{name: run[name] for name in ("trial", "is_winner", "val_accuracy")},
        "params": run["parameters"],
        "test_accuracy": float(right.mean()),
        "ci95": bounds,
        "method": method,
        "seeds": len(right),
        "seed_accuracies": [float(one.mean()) for one in right],
        "errors": np.count_nonzero(~right) / len(right),
        **gain,
    }


# --- held against what bench says


def differences(made: Any, said: Any, where: str = "") -> Iterator[tuple[str, str | None]]:
    """(what was compared, how it differs or None), value by value."""
    if isinstance(made, dict) and isinstance(said, dict):
        for name in made:
            yield from differences(made[name], said.get(name, "nothing"), f"{where}.{name}" if where else name)
    elif isinstance(made, list) and isinstance(said, list) and len(made) == len(said):
        for place, (one, other) in enumerate(zip(made, said, strict=True)):
            yield from differences(one, other, f"{where}[{place}]")
    else:
        yield where, None if _same(made, said) else f"is {said!r}, recomputed {made!r}"


def _same(made: Any, said: Any) -> bool:
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (made, said))
    return math.isclose(made, said, rel_tol=DIGITS, abs_tol=1e-12) if numbers else bool(made == said)


def printed_differences(rows: Sequence[Mapping[str, Any]], markdown: str) -> Iterator[tuple[str, str | None]]:
    """The same of the cells of a Markdown table; a number is right where no other with its decimals is nearer."""
    table = [line for line in markdown.splitlines() if line.startswith("| ")]
    heads, *body = [[cell.strip().replace("\\", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
    yield "Markdown, rows", None if len(body) - 1 == len(rows) else f"are {len(body) - 1}, recomputed {len(rows)}"
    for expected, row, shown in zip(cells(rows), rows, body[1:], strict=False):
        said = dict(zip(heads, shown, strict=True))
        for heading, (text, numbers) in expected.items():
            cell = said.get(heading, "nothing")
            found = [float(number.replace(",", "")) for number in NUMBER.findall(cell)]
            right = NUMBER.sub("#", cell) == text and all(
                abs(one - value) <= 0.5 * 10**-decimals + 1e-9
                for one, (value, decimals) in zip(found, numbers, strict=True)
            )
            wanted = [round(value, decimals) for value, decimals in numbers]
            yield f"Markdown, {row['family']}, {heading}", None if right else f"is {cell!r}, recomputed {text} {wanted}"


def said_by_bench(home: Path, dataset: str, baseline: str, shape: str) -> str:
    command = [sys.executable, "-m", "bench", "leaderboard", "--home", str(home), "--dataset", dataset]
    run = subprocess.run([*command, "--baseline", baseline, shape], stdout=subprocess.PIPE, text=True)
    if run.returncode:
        raise SystemExit(run.returncode)  # what is wrong it has said itself
    return run.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("--baseline", default="mlp")
    parser.add_argument("--json", type=Path, help="what `bench leaderboard --json` printed (default: run it)")
    parser.add_argument("--markdown", type=Path, help="the same of --markdown")
    options = parser.parse_args(arguments)
    given = (options.home, options.dataset, options.baseline)
    said = json.loads(options.json.read_text() if options.json else said_by_bench(*given, "--json"))
    markdown = options.markdown.read_text() if options.markdown else said_by_bench(*given, "--markdown")
    made = document(options.home, said["dataset"], options.baseline)
    unknown = sorted({name for row in said["rows"] for name in row} - {name for row in made["rows"] for name in row})
    compared = [*differences(made, said), *printed_differences(made["rows"], markdown)]
    compared += [(name, "is in the JSON, and nothing here recomputes it") for name in unknown]
    wrong = [(where, how) for where, how in compared if how is not None]
    for row in made["rows"]:
        print(f"{row['family']} ({row['study']}): rank {row['rank']}, {len(row)} fields from {row['seeds']} seeds")
    for where, how in wrong:
        print(f"DIFFERS: {where} {how}")
    values, printed = len(compared), sum(where.startswith("Markdown") for where, _ in compared)
    print(f"{values} values compared, {printed} of them cells of the Markdown; {len(wrong)} differ.")
    return 1 if wrong or not made["rows"] else 0


if __name__ == "__main__":
    sys.exit(main())
