"""Families of KerasTuner's hypermodels, with real KerasTuner and Keras: the space, the model, refusals."""

import subprocess
import sys

import pytest

import bench
from bench import carried, frozen
from bench.engines.hyperspace import translate
from bench.errors import FamilyError, SpaceError
from bench.space import Fixed

keras = pytest.importorskip("keras")
keras_tuner = pytest.importorskip("keras_tuner")
SHAPE, CLASSES = (8, 8, 1), 10


def guide(hp):
    """As KerasTuner's getting-started guide has it; nothing in it is bench's."""
    model = keras.Sequential()
    model.add(keras.layers.Flatten())
    for i in range(hp.Int("num_layers", 1, 3)):
        units = hp.Int(f"units_{i}", min_value=32, max_value=512, step=32)
        model.add(keras.layers.Dense(units=units, activation=hp.Choice("activation", ["relu", "tanh"])))
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(rate=0.25))
    model.add(keras.layers.Dense(10, activation="softmax"))
    learning_rate = hp.Float("lr", min_value=1e-4, max_value=1e-2, sampling="log")
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


class Conditional(keras_tuner.HyperModel):
    def __init__(self, classes):
        super().__init__(name="two kinds")
        self.classes = classes

    def build(self, hp):
        inputs = x = keras.Input((8, 8))
        kind = hp.Choice("model type", ["mlp", "cnn"])
        with hp.conditional_scope("model type", ["mlp"]):
            if kind == "mlp":
                x = keras.layers.Flatten()(x)
                norm = hp.Boolean("norm")
                with hp.conditional_scope("norm", [True]):
                    momentum = hp.Float("norm_momentum", 0.8, 0.99)
                    x = keras.layers.BatchNormalization(momentum=momentum)(x) if norm else x
                x = keras.layers.Dense(hp.Int("width", 8, 64, sampling="log"), "relu")(x)
        with hp.conditional_scope("model type", ["cnn"]):
            if kind == "cnn":
                x = keras.layers.Reshape((8, 8, 1))(x)
                x = keras.layers.Conv2D(hp.Int("filters", 4, 8, step=2), 3, activation="relu")(x)
                x = keras.layers.GlobalMaxPooling2D()(x)
        optimizer = hp.Choice("optimizer", ["Adam", "SGD"])
        momentum = hp.Float("sgd_momentum", 0.0, 0.9, step=0.3, parent_name="optimizer", parent_values=["SGD"])
        rate = hp.Fixed("rate", 0.01)
        sgd = keras.optimizers.SGD(rate, momentum or 0.0)
        model = keras.Model(inputs, keras.layers.Dense(self.classes)(x))
        model.compile(
            optimizer=keras.optimizers.Adam(rate) if optimizer == "Adam" else sgd,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        return model


def test_the_guides_space_is_found_by_building_with_what_only_some_builds_ask_for():
    family = bench.from_hypermodel(guide)
    assert family.name == "guide"
    units = bench.Choice(*range(32, 513, 32))
    assert family.space.domains == {
        "num_layers": bench.Int(1, 3),
        "units_0": units,
        "activation": bench.Choice("relu", "tanh"),
        "dropout": bench.Choice(False, True),
        "lr": bench.Float(1e-4, 1e-2, log=True),
        "units_1": units,
        "units_2": units,
        "epochs": bench.Int(3, 20),
        "batch_size": Fixed(32),
    }
    assert family.reference == {
        "num_layers": 1, "units_0": 32, "activation": "relu", "dropout": False, "lr": 1e-4, "units_1": 32,
        "units_2": 32, "epochs": 10, "batch_size": 32,
    }  # fmt: skip


def test_conditions_become_when_also_nested_ones_and_names_become_identifiers():
    family = bench.from_hypermodel(Conditional(10), epochs=4, batch_size=bench.Choice(16, 64))
    assert family.name == "two_kinds" or family.name == "two-kinds"
    assert family.space.domains == {
        "model_type": bench.Choice("mlp", "cnn"),
        "norm": bench.When("model_type", ("mlp",), bench.Choice(False, True)),
        "norm_momentum": bench.When("norm", (True,), bench.Float(0.8, 0.99)),
        "width": bench.When("model_type", ("mlp",), bench.Int(8, 64, log=True)),
        "optimizer": bench.Choice("Adam", "SGD"),
        "sgd_momentum": bench.When("optimizer", ("SGD",), bench.Choice(0.0, 0.3, 0.6, 0.9)),
        "rate": Fixed(0.01),
        "filters": bench.When("model_type", ("cnn",), bench.Choice(4, 6, 8)),
        "epochs": Fixed(4),
        "batch_size": bench.Choice(16, 64),
    }
    assert family.reference == {
        "model_type": "mlp", "norm": False, "width": 8, "optimizer": "Adam", "rate": 0.01, "epochs": 4,
        "batch_size": 16,
    }  # fmt: skip
    wide = family.build({**family.reference, "width": 24}, SHAPE, CLASSES)
    assert wide.count_params() == 64 * 24 + 24 + 24 * 10 + 10
    cnn = {"model_type": "cnn", "filters": 6, "optimizer": "SGD", "sgd_momentum": 0.6, "rate": 0.01}
    model = family.build(cnn, SHAPE, CLASSES)
    assert model.count_params() == 9 * 6 + 6 + 6 * 10 + 10
    assert model.optimizer.momentum == 0.6


def test_parameters_of_the_hypermodel_go_before_those_that_are_given():
    def build(hp):
        hp.Int("epochs", 1, 2)
        hp.Choice("batch_size", [8, 16], default=16)
        return guide(hp)

    family = bench.from_hypermodel(build, "own", epochs=50, batch_size=64)
    assert family.space.domains["epochs"] == bench.Int(1, 2)
    assert family.reference["batch_size"] == 16


PARAMETERS = {
    "log steps": (lambda hp: hp.Int("p", 2, 32, step=2, sampling="log", default=5), bench.Choice(2, 4, 8, 16, 32), 4),
    "reversed log steps": (
        lambda hp: hp.Float("p", 1.0, 8.0, step=2, sampling="reverse_log"), bench.Choice(1.0, 5.0, 7.0, 8.0), 1.0,
    ),
    "steps that do not end at the top": (lambda hp: hp.Int("p", 6, 13, step=3), bench.Choice(6, 9, 12), 6),
    "real steps": (lambda hp: hp.Float("p", 0.0, 0.5, step=0.1), bench.Choice(0.0, 0.1, 0.2, 0.3, 0.4, 0.5), 0.0),
    "a default": (lambda hp: hp.Float("p", 0.0, 0.5, default=0.2), bench.Float(0.0, 0.5), 0.2),
    "one value": (lambda hp: hp.Int("p", 3, 3), Fixed(3), 3),
    "numbers to choose": (lambda hp: hp.Choice("p", [0.1, 0.01], default=0.01), bench.Choice(0.1, 0.01), 0.01),
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_kind_of_parameter_takes_the_values_that_keras_tuner_gives_it(name):
    ask, domain, default = PARAMETERS[name]
    hp = keras_tuner.HyperParameters()
    ask(hp)
    found = translate(hp.space)
    assert found.domains == {"p": domain} and found.defaults == {"p": default}
    if isinstance(domain, bench.Choice):
        drawn = sorted({hp.space[0].random_sample(seed) for seed in range(300)})
        # KerasTuner's own count of steps loses the end that it documents: 0.5 // 0.1 is 4.
        assert drawn == pytest.approx(sorted(domain.options)[: -1 if name == "real steps" else None])


def test_a_fixed_value_under_a_condition_and_one_parameter_under_two_conditions():
    hp = keras_tuner.HyperParameters()
    hp.Choice("kind", ["a", "b", "c"])
    hp.Fixed("only_a", 3, parent_name="kind", parent_values=["a"])
    hp.Int("both", 1, 5, parent_name="kind", parent_values=["a"])
    hp.Int("both", 1, 5, parent_name="kind", parent_values=["c"])
    domains = translate(hp.space).domains
    assert domains["only_a"] == bench.When("kind", ("a",), bench.Choice(3))
    assert domains["both"] == bench.When("kind", ("a", "c"), bench.Int(1, 5))


def test_all_that_cannot_be_expressed_is_said_at_once_with_the_way_out():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 0.1, 1.0, sampling="reverse_log")
    hp.Int("many", 0, 10_000, step=2)
    hp.Choice("a", [1, 2])
    hp.Choice("b", [1, 2])
    hp.Int("of_both", 1, 2, parent_name="a", parent_values=[1])
    hp.Int("of_both", 1, 2, parent_name="b", parent_values=[1])
    hp.Int("twice", 1, 5, parent_name="a", parent_values=[1])
    hp.Int("twice", 1, 9, parent_name="a", parent_values=[2])
    hp.Boolean("x y")
    hp.Boolean("x-y")
    with pytest.raises(SpaceError) as refused:
        translate(hp.space)
    said = "\n".join(refused.value.problems)
    assert len(refused.value.problems) == 5
    for part in (
        "'rate' is sampled with reverse_log",
        "5,001 values",
        "nest their scopes",
        "'twice' has one",
        "rename",
    ):
        assert part in said


def test_a_fit_of_its_own_is_refused_with_the_way_out_which_works():
    class Own(Conditional):
        def fit(self, hp, model, *args, **kwargs):
            return model.fit(*args, batch_size=hp.Choice("batch_size", [16, 32]), **kwargs)

    with pytest.raises(FamilyError, match=r"Own.fit would not be run: bench owns(.|\n)*Own\(\.\.\.\).build"):
        bench.from_hypermodel(Own(10))
    assert bench.from_hypermodel(Own(10).build, "own").space.domains["batch_size"] == Fixed(32)


def test_another_method_of_a_hypermodel_is_what_is_built():
    class Two(keras_tuner.HyperModel):
        def build(self, hp):
            raise AssertionError("another one was given")

        def of_rate(self, hp):
            inputs = keras.Input((8, 8))
            x = keras.layers.Dropout(hp.Float("rate", 0.0, 0.5))(keras.layers.Flatten()(inputs))
            model = keras.Model(inputs, keras.layers.Dense(10)(x))
            model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            return model

    family = bench.from_hypermodel(Two().of_rate)
    assert (family.name, "rate" in family.space.domains) == ("of_rate", True)
    layers = family.build({**family.reference, "rate": 0.25}, (8, 8, 1), 10)._flatten_layers()
    assert [layer.rate for layer in layers if isinstance(layer, keras.layers.Dropout)] == [0.25]


def test_what_is_no_hypermodel_or_does_not_build_is_said():
    with pytest.raises(FamilyError, match="not 3"):
        bench.from_hypermodel(3)

    def broken(hp):
        return 1 / (hp.Int("n", 1, 2) - 2)

    with pytest.raises(FamilyError, match=r"build\(hp\) fails with \{'n': 2\}: ZeroDivisionError"):
        bench.from_hypermodel(broken)

    def endless(hp, n=0):
        while hp.Boolean(f"again_{n}"):
            n += 1

    with pytest.raises(FamilyError, match="new parameters in 300 builds"):
        bench.from_hypermodel(endless)


def test_a_parameter_that_no_build_asked_for_before_is_not_made_up():
    def build(hp):
        if hp.Int("a", 0, 99) == 50:
            hp.Int("late", 1, 2)
        return guide(hp)

    family = bench.from_hypermodel(build)
    with pytest.raises(FamilyError, match="'late', which it did not ask for"):
        family.build({**family.reference, "a": 50}, SHAPE, CLASSES)


def test_a_study_tells_two_hypermodels_apart_and_workers_get_them_by_value():
    def other(hp):
        hp.Int("num_layers", 1, 4)
        return guide(hp)

    assert frozen.build_of(bench.from_hypermodel(guide)) == frozen.build_of(bench.from_hypermodel(guide))
    assert frozen.build_of(bench.from_hypermodel(guide)) != frozen.build_of(bench.from_hypermodel(other))
    ten, nine = (frozen.build_of(bench.from_hypermodel(Conditional(n), "kinds")) for n in (10, 9))
    assert ten != nine == frozen.build_of(bench.from_hypermodel(Conditional(9), "kinds"))
    for hypermodel in (guide, Conditional(10)):
        family = bench.from_hypermodel(hypermodel, "sent")
        there = carried.unpack(carried.pack(family))
        assert there.reference == family.reference
        assert there.build(there.reference, SHAPE, CLASSES).output_shape == (None, 10)


def test_asking_for_the_function_imports_neither_keras_nor_keras_tuner():
    code = (
        "import sys, bench; bench.from_hypermodel; "
        "print([m for m in ('keras', 'keras_tuner', 'tensorflow', 'optuna', 'sklearn', 'pandas') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
