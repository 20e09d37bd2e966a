"""Installing something for other purposes does not slow the workers and the exam down."""

import subprocess
import sys

CODE = """
import sys
from bench.training.imports import not_needed, only_what_is_needed

with only_what_is_needed():
    import keras
print([name for name in not_needed() if name in sys.modules])
import pandas  # it was hidden from Keras, and is there for a family's own code
"""


def test_keras_comes_without_what_it_does_not_need_and_a_family_can_still_import_it():
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "[]\n"
