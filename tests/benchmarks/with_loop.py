"""One configuration, trained by a loop of one's own: TensorFlow's guide's, a hand-tuned one, and bench's, by turns.

    python tests/benchmarks/with_loop.py TASK guide|tuned|bench

The guide's ("Writing a training loop from scratch in TensorFlow") calls a compiled step for each batch of a tf.data
set. The tuned one is what remains when all that could cost is taken away: the images as constants, an epoch in one
call, batches gathered in the graph. All train the task's first configuration, on one thread, with as many steps of the
same batch size, and are judged once on the validation images. `work` is the seconds from before the model was built to
after that, so without imports.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from fitting import VALIDATION_BATCH, as_float, start_keras
from ground import Task, Voice

from bench.data.arrays import Arrays
from bench.space import Config
from bench.training.budget import Batches, steps_for


def by_guide(task: Task, arrays: Arrays, config: Config) -> float:
    import keras
    import tensorflow as tf

    from bench.training.interface import Recipe
    from bench.training.loop import make_optimizer

    x, y, val_x, val_y = as_float(arrays)
    recipe = Recipe.of(config)
    model = task.searched().build(config, arrays.image_shape, arrays.classes)
    optimizer = make_optimizer(recipe)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy()
    train = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(1024).batch(recipe.batch_size)
    validation = tf.data.Dataset.from_tensor_slices((val_x, val_y)).batch(recipe.batch_size)

    @tf.function
    def train_step(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_fn(labels, model(images, training=True))
        optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
        return loss

    @tf.function
    def test_step(images: Any, labels: Any) -> None:
        accuracy.update_state(labels, model(images, training=False))

    for _ in range(int(recipe.epochs)):
        for images, labels in train:
            train_step(images, labels)
    for images, labels in validation:
        test_step(images, labels)
    return float(accuracy.result())


def by_hand(task: Task, arrays: Arrays, config: Config) -> float:
    import tensorflow as tf

    from bench.training.interface import Recipe
    from bench.training.loop import make_optimizer

    x, y, val_x, val_y = as_float(arrays)
    recipe = Recipe.of(config)
    model = task.searched().build(config, arrays.image_shape, arrays.classes)
    optimizer = make_optimizer(recipe)
    variables = model.trainable_variables
    optimizer.build(variables)
    images, labels = tf.constant(x), tf.constant(y)

    @tf.function(input_signature=[tf.TensorSpec((None, recipe.batch_size), tf.int32)])
    def epoch(order: Any) -> None:
        for k in tf.range(tf.shape(order)[0]):
            with tf.GradientTape() as tape:
                logits = model(tf.gather(images, order[k]), training=True)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(labels, order[k]), logits)
                loss = tf.reduce_mean(losses)
            optimizer.apply(tape.gradient(loss, variables), variables)

    @tf.function
    def predicted(batch: Any) -> Any:
        return tf.argmax(model(batch, training=False), axis=1)

    steps = steps_for(round(recipe.epochs * len(x)), recipe.batch_size)
    order = Batches(len(x), recipe.batch_size, task.seed).take(steps)
    for part in np.array_split(order, int(recipe.epochs)):
        epoch(part)
    found = [predicted(val_x[i : i + VALIDATION_BATCH]) for i in range(0, len(val_x), VALIDATION_BATCH)]
    return float(np.mean(np.concatenate(found) == val_y))


def by_bench(task: Task, arrays: Arrays, config: Config) -> float:
    from bench.training.interface import Data
    from bench.training.tensorflow import make_trainer

    (x, y), (val_x, val_y) = arrays.train, arrays.validation
    data = Data(x, y, val_x, val_y, arrays.classes)
    trainer = make_trainer(task.searched(), config, data, task.seed, task.precision)
    trainer.advance(trainer.total_samples, lambda samples, loss: None)
    return trainer.val_accuracy()


LOOPS = {"guide": by_guide, "tuned": by_hand, "bench": by_bench}


def main() -> None:
    task = Task.of(sys.argv[1])
    voice = Voice(task.began)
    start_keras(task.precision, threads=1)
    import keras

    assert task.configs is not None
    config, arrays = dict(task.configs[0]), task.open()
    if sys.argv[2] == "bench":
        import bench.training.tensorflow  # noqa: F401  what the others have imported by now, too
    keras.utils.set_random_seed(task.seed)
    began = time.perf_counter()
    val_accuracy = LOOPS[sys.argv[2]](task, arrays, config)
    work = time.perf_counter() - began
    voice.say(best={"val_accuracy": val_accuracy, "params": config, "seconds": voice.seconds()}, work=work)


if __name__ == "__main__":
    main()
