"""The sealer: `python -m bench.holdout.seal`, a short-lived process, the only one that reads a data source.

It reads, checks, splits, counts images that stand in both train and test, writes train.npz, test.npz and, last,
seal.json, and exits. `ensure` is what the command line calls; it imports nothing heavy and never opens the source.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from bench import errors
from bench.data.catalog import KNOWN, dataset_name, is_path, source_of
from bench.data.sealed import Sealed, find
from bench.disk import RESERVE, wait_for_room
from bench.errors import BenchError, DataError, InputError, Interrupted, SealError
from bench.files import slug, write_atomic
from bench.inert import one_line
from bench.workers import orphans
from bench.workers.stop import end_with_parent

if TYPE_CHECKING:
    import numpy.typing as npt

    from bench.holdout.checks import Checked

ALIGNMENT = 64  # bytes; frameworks take a mapped array as it is only where it is aligned


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def ensure(
    home: Path,
    dataset: str | None,
    data_dir: Path | None,
    say: Callable[[str], object] = print,
    step: Callable[[str], object] = _progress,
) -> Sealed:
    """The sealed data set, sealing it first where that is needed.

    Args:
        dataset: a known name or the path of an .npz. None means MNIST, or the built-in digits where MNIST is neither on
            disk nor can be fetched; `say` then gets one line. A data set that is named never falls back.
        step: gets a line for each thing that the sealer begins, in a thread of its own.

    Raises:
        UnknownDataset: no such name or file.
        DataError: it cannot be had, or has problems; all of them.
        UsageError: the data folder does not exist.
        SealError: what was sealed does not read back.
    """
    name = dataset or "mnist"
    found = find(home, name, data_dir)
    if found is not None:
        return found
    fetched = source_of(name, data_dir) is None
    try:
        return _run_sealer(home, name, data_dir, step)
    except DataError:
        if dataset is not None or not fetched:
            raise
    known = KNOWN["mnist"]
    say(
        "MNIST is not on disk and cannot be fetched, so the built-in digits (1,797 images, 8 x 8) are used. "
        f"For MNIST put {known.places[0]} into --data-dir."
    )
    return ensure(home, "digits", data_dir, say, step)


def _sealer() -> list[str]:
    return [sys.executable, "-m", "bench.holdout.seal"]


def _run_sealer(home: Path, dataset: str, data_dir: Path | None, step: Callable[[str], object]) -> Sealed:
    command = [*_sealer(), "--home", str(home), "--dataset", dataset]
    command += ["--data-dir", str(data_dir)] if data_dir else []
    said: list[str] = []

    def listen(lines: IO[str]) -> None:
        for line in lines:
            said.append(line.rstrip())
            step(said[-1])

    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
        env=orphans.environment(),
    ) as sealer:
        assert sealer.stdout is not None and sealer.stderr is not None
        listener = threading.Thread(target=listen, args=(sealer.stderr,), daemon=True)
        listener.start()
        try:
            written = sealer.stdout.read()
            listener.join()
        except BaseException:
            sealer.kill()
            raise
    try:
        answer = json.loads(written)
    except ValueError:
        if sealer.returncode == Interrupted.exit_code:
            raise Interrupted("Stopped while the data was sealed; the same command begins again.") from None
        raise DataError(
            f"Sealing {dataset!r} ended with exit code {sealer.returncode} and no answer; "
            f"check that there is enough memory. It last said: {said[-1] if said else 'nothing'}"
        ) from None
    if "error" in answer:
        raise _rebuilt(answer["error"])
    return Sealed.load(Path(answer["folder"]))


def _rebuilt(error: Mapping[str, Any]) -> BenchError:
    kind = getattr(errors, error["class"], BenchError)
    if issubclass(kind, InputError):
        return kind(error["message"], error["problems"])
    return kind(error["message"])


def seal(home: Path, dataset: str, data_dir: Path | None) -> Sealed:
    """Seal a data set in this process; what `ensure` has done by the sealer. Two of them may run at once.

    A source that is newer but has the same content only gets its seal.json renewed.

    Raises:
        As `ensure`.
    """
    from filelock import FileLock

    cache = home / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / ".lock"):
        found = find(home, dataset, data_dir)
        return found if found is not None else _seal(cache, dataset, data_dir)


def _seal(cache: Path, dataset: str, data_dir: Path | None) -> Sealed:
    import numpy as np

    from bench.data.split import fingerprint
    from bench.holdout import checks, sources

    source = source_of(dataset, data_dir) or sources.fetch(dataset, data_dir)
    name = dataset_name(dataset)
    where = source.path or name
    where_from = f"{source.kind}{f': {source.path}' if source.path else ''}"
    _say(f"sealing {name} ({where_from})")
    arrays, unread = sources.read(name, source)
    checked = checks.check(arrays, where, unread, None if is_path(dataset) else KNOWN[name])
    del arrays
    order, n_train = _split(checked)
    pooled = {
        axis: np.concatenate([part["train"], *([part["val"]] if "val" in part else [])])
        for axis, part in (("x", checked.x), ("y", checked.y))
    }
    train = {"x": pooled["x"][order], "y": pooled["y"][order], "index": order}
    test = {"x": checked.x["test"], "y": checked.y["test"]}
    checksum = _checksum(train, test)
    overlap = _overlap(train["x"], test["x"])
    if overlap:
        checked = checked.with_warning(
            f"{overlap:,} of {len(test['x']):,} test images also stand among the training images; "
            "test accuracy may be too high."
        )
    folder = cache / f"{slug(name)}-{checksum[:8]}"
    sealed = Sealed(
        data_id=folder.name,
        name=slug(name),
        checksum=checksum,
        split_fingerprint=fingerprint(order, train["y"], n_train),
        image_shape=test["x"].shape[1:],
        classes=checked.classes,
        class_names=checked.class_names,
        n_train=n_train,
        n_validation=len(order) - n_train,
        n_test=len(test["x"]),
        dtype=str(test["x"].dtype),
        overlap=overlap,
        warnings=checked.warnings,
        source=asdict(source),
        train_bytes=0,
        test_bytes=0,
        folder=folder,
    )
    return _write(sealed, train, test)


def _say(line: str) -> None:
    print(one_line(line), file=sys.stderr, flush=True)


def _split(checked: Checked) -> tuple[npt.NDArray[Any], int]:
    """(positions in train followed by val, train images first; how many are train)."""
    import numpy as np

    from bench.data.split import stratified, validation_size

    y = checked.y["train"]
    if "val" in checked.y:
        return np.arange(len(y) + len(checked.y["val"]), dtype=np.int64), len(y)
    kept, held_out = stratified(y, min(validation_size(len(y)), len(y) - checked.classes))
    return np.concatenate([kept, held_out]), len(kept)


def _write(sealed: Sealed, train: Mapping[str, Any], test: Mapping[str, Any]) -> Sealed:
    try:
        before = Sealed.load(sealed.folder)
        same = (before.checksum, before.split_fingerprint) == (sealed.checksum, sealed.split_fingerprint)
        kept = before.intact and same
    except SealError:
        kept = False
    if not kept:
        (sealed.folder / "seal.json").unlink(missing_ok=True)
        needed = RESERVE + sum(array.nbytes for part in (train, test) for array in part.values())
        wait_for_room(sealed.folder.parent, _say, needed=needed)
        write_atomic(sealed.train_path, lambda file: _save(file, train))
        write_atomic(sealed.test_path, lambda file: _save(file, test))
    sealed = replace(sealed, train_bytes=sealed.train_path.stat().st_size, test_bytes=sealed.test_path.stat().st_size)
    sealed.save()
    return sealed


def _save(file: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """An uncompressed .npz whose arrays begin at multiples of 64 bytes and whose bytes depend on the arrays alone."""
    import numpy as np

    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            # 30 bytes of local header, the name, 20 bytes for sizes beyond 4 GB, then our filler: 4 bytes and zeros.
            filler = -(file.tell() + 30 + len(member.filename) + 20 + 4) % ALIGNMENT
            member.extra = b"\x99\x99" + filler.to_bytes(2, "little") + bytes(filler)
            with archive.open(member, "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)


def checksum_of(sealed: Sealed) -> str:
    """The checksum of the arrays as they are on disk now, to be held against `sealed.checksum`."""
    import numpy as np

    parts = []
    for path in (sealed.train_path, sealed.test_path):
        with np.load(path, allow_pickle=False) as stored:
            parts.append({name: stored[name] for name in ("x", "y")})
    return _checksum(*parts)


def _checksum(train: Mapping[str, npt.NDArray[Any]], test: Mapping[str, npt.NDArray[Any]]) -> str:
    import numpy as np

    digest = hashlib.sha256()
    for part, arrays in (("train", train), ("test", test)):
        for name in ("x", "y"):
            array = np.ascontiguousarray(arrays[name])
            digest.update(f"{part} {name} {array.dtype.str} {array.shape} ".encode())
            digest.update(array.data)
    return digest.hexdigest()


def _overlap(train: npt.NDArray[Any], test: npt.NDArray[Any]) -> int:
    """How many test images also stand, byte for byte, in train."""
    seen = {hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in train}
    return sum(hashlib.blake2b(image.tobytes(), digest_size=16).digest() in seen for image in test)


def main() -> int:
    """Seal as asked on the command line; one JSON document on stdout."""
    parser = argparse.ArgumentParser(prog="python -m bench.holdout.seal", description="Seal one data set.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    failed: BenchError | None = None
    end_with_parent()
    try:
        sealed = seal(options.home, options.dataset, options.data_dir)
    except BenchError as error:
        failed = error
    except KeyboardInterrupt:
        return Interrupted.exit_code
    except MemoryError:
        failed = DataError(
            f"There is not enough memory to read {options.dataset}; free some, or use a smaller data set."
        )
    except OSError as error:
        failed = DataError(f"{error.filename or options.home}: {error.strerror or error}; check space and permissions.")
    if failed is None:
        print(json.dumps({"schema": 1, "folder": str(sealed.folder)}))
        return 0
    problems = list(failed.problems) if isinstance(failed, InputError) else []
    message = str(failed).partition("\n  - ")[0] if problems else str(failed)
    print(
        json.dumps({"schema": 1, "error": {"class": type(failed).__name__, "message": message, "problems": problems}})
    )
    return failed.exit_code


if __name__ == "__main__":
    sys.exit(main())
