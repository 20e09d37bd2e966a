"""How many matrix products a second: GFLOP/s of one thread each on so many cores at the same time.

    python tests/benchmarks/products.py float32|bfloat16 PROCESSES

The processes begin together, once all have imported TensorFlow; what they reach is added up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

SIZE = 2048  # rows and columns; large enough that reading them costs little
SECONDS = 3.0


def measure(dtype: str) -> float:
    """GFLOP/s of this process, once a line came in."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    left, right = (tf.cast(tf.random.normal((SIZE, SIZE)), dtype) for _ in range(2))
    product = tf.function(lambda: tf.linalg.matmul(left, right), autograph=False)
    product()
    print("ready", flush=True)
    sys.stdin.readline()
    began, products = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began) < SECONDS:
        product()[0, 0].numpy()  # as NumPy, so that it is over
        products += 1
    return products * 2 * SIZE**3 / seconds / 1e9


def main() -> None:
    dtype, processes = sys.argv[1], int(sys.argv[2])
    if processes == 0:
        print(measure(dtype))
        return
    command = [sys.executable, __file__, dtype, "0"]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None and process.stdin is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit("A process that was to multiply matrices ended before it began.")
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    print(json.dumps(sum(float(process.communicate()[0]) for process in started)))


if __name__ == "__main__":
    main()
