"""`bench.from_hypermodel`: a family of what KerasTuner's users have, a `build(hp)` or a HyperModel.

Its space is learned by building, as KerasTuner's own tuners do: with the defaults, then with every condition fulfilled,
every option of a choice, and the ends of every range of whole numbers, until no build asks for anything new.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.engines.hyperspace import translate
from bench.engines.outfit import fit_to_images
from bench.errors import FamilyError
from bench.family import Family, in_a_line
from bench.files import slug
from bench.space import Choice, Domain, Fixed, Float, Int, SearchSpace, Value
from bench.training.imports import only_what_is_needed

EPOCHS = Int(3, 20)
REFERENCE_EPOCHS = 10
BATCH_SIZE = 32  # what Keras's `fit` takes
MOST_BUILDS = 300  # before a space counts as endless
FEW = 8  # whole numbers; as many are tried one by one, of more the ends

Given = int | float | Domain
Key = tuple[Any, ...]


def from_hypermodel(
    hypermodel: Any, name: str | None = None, *, epochs: Given = EPOCHS, batch_size: Given = BATCH_SIZE
) -> Family:
    """A family of an existing KerasTuner `build(hp)` or HyperModel, which stays as it is.

    The model keeps the optimizer and the loss that it was compiled with. Integer labels go to a sparse loss of Keras
    and to one of the user's own, one row a class to every other of Keras's. A model that ends in softmax is judged and
    stored as probabilities, any other as logits. Images come as (height, width, channels) in [0, 1]; a model that
    takes them flat, or without their single channel, gets them so. Metrics and callbacks decide nothing: a trial's
    value is the validation accuracy.

    Steps become lists of values, conditions `When`, and every default a part of the reference, which is trial 0; a
    default between two steps moves to the nearer one. As in KerasTuner, a parameter that is asked for in a plain `if`
    or in a loop, and under no `conditional_scope`, is searched whether a model uses it or not.

    Args:
        hypermodel: a function of a keras_tuner.HyperParameters, or a keras_tuner.HyperModel.
        name: the family's; the HyperModel's own, or that of the function or class, where left out.
        epochs: how long to train, where the hypermodel has no parameter of that name: a number, Int, Float or Choice.
        batch_size: likewise.

    Raises:
        FamilyError: it builds no model, or overrides `fit`, which would not be run: bench owns the loop.
        SpaceError: a parameter that cannot be expressed; all of them at once.
    """
    with only_what_is_needed():
        import keras_tuner

    owner = getattr(hypermodel, "__self__", None)
    if isinstance(owner, keras_tuner.HyperModel) and hypermodel == owner.build:
        hypermodel = owner  # its `build` alone: whoever gives that knows that `fit` is left out
    elif isinstance(hypermodel, keras_tuner.HyperModel):
        _check_fit(hypermodel, keras_tuner.HyperModel)
    elif not callable(hypermodel):
        raise FamilyError(f"A hypermodel is a function build(hp) or a keras_tuner.HyperModel, not {hypermodel!r:.100}.")
    asked = _explore(hypermodel, keras_tuner.HyperParameters)
    found = translate(asked)
    domains, defaults = dict(found.domains), dict(found.defaults)
    for parameter, given, usual in (("epochs", epochs, REFERENCE_EPOCHS), ("batch_size", batch_size, BATCH_SIZE)):
        if parameter not in domains:
            domains[parameter] = given if isinstance(given, (Int, Float, Choice)) else Fixed(given)
            defaults[parameter] = given.nearest(usual) if isinstance(given, (Int, Float, Choice)) else given
    space = SearchSpace(domains)
    reference = space.walk(lambda parameter, _: defaults[parameter])
    own = getattr(hypermodel, "name", None) or getattr(hypermodel, "__name__", type(hypermodel).__name__)
    declared = json.dumps(_container(keras_tuner.HyperParameters, asked, {}).get_config()["space"])
    return Family(name or slug(str(own)), space, Build(hypermodel, declared, found.names), reference)


@dataclass(frozen=True)
class Build:
    """`build` of a family around a hypermodel.

    Attributes:
        hypermodel: what the user has.
        declared: KerasTuner's description of every parameter, JSON.
        names: name in the family's space -> in KerasTuner's.
    """

    hypermodel: Any
    declared: str
    names: Mapping[str, str]

    @property
    def __wrapped__(self) -> Any:
        """What a study freezes, and whose module goes to the workers."""
        return self.hypermodel

    def __call__(self, config: Mapping[str, Value], image_shape: tuple[int, int, int], classes: int) -> Any:
        """The model of a configuration.

        Raises:
            FamilyError: it does not fit the images or the classes, or `build` asks for a parameter that no build did
                when the space was explored.
        """
        with only_what_is_needed():
            import keras_tuner

        values = {theirs: config[ours] for ours, theirs in self.names.items() if ours in config}
        hp = keras_tuner.HyperParameters.from_config({"space": json.loads(self.declared), "values": values})
        known = {_key(parameter) for parameter in hp.space}
        model = _build(self.hypermodel, hp)
        late = sorted({parameter.name for parameter in hp.space if _key(parameter) not in known})
        if late:
            raise FamilyError(
                f"build asked for {', '.join(map(repr, late))}, which it did not ask for while its space was explored. "
                "Ask for it in every build, or under hp.conditional_scope."
            )
        return fit_to_images(model, image_shape, classes)


def _check_fit(hypermodel: Any, base: Any) -> None:
    own = type(hypermodel)
    if own.fit is base.fit:
        return
    raise FamilyError(
        f"{own.__name__}.fit would not be run: bench owns the training loop, so that every trial counts the same "
        "samples and can be stopped at rungs. Move what it changes in the data into layers of the model, and what it "
        "tunes into from_hypermodel(epochs=..., batch_size=...); then give its build alone: "
        f"bench.from_hypermodel({own.__name__}(...).build)."
    )


def _build(hypermodel: Any, hp: Any) -> Any:
    make: Callable[[Any], Any] = hypermodel.build if hasattr(hypermodel, "build") else hypermodel
    return make(hp)


def _key(parameter: Any) -> Key:
    """What tells KerasTuner's parameters apart: the name and the conditions."""
    return (parameter.name, *((condition.name, *condition.values) for condition in parameter.conditions))


def _explore(hypermodel: Any, container: Any) -> list[Any]:
    """Every parameter that any build asks for, parents first.

    Raises:
        FamilyError: `build` fails, or asks for ever more.
    """
    declared = container()
    if hasattr(hypermodel, "declare_hyperparameters"):
        hypermodel.declare_hyperparameters(declared)
    found: dict[Key, Any] = {_key(parameter): parameter for parameter in declared.space}
    waiting: list[dict[str, Value]] = [{}]
    varied: set[Key] = set()
    builds = 0
    while waiting:
        hp = _container(container, found.values(), waiting.pop(0))
        builds += 1
        if builds > MOST_BUILDS:
            raise FamilyError(
                f"build asked for new parameters in {MOST_BUILDS} builds, {len(found)} so far. Let it ask for fewer: "
                "a loop over a parameter can ask for one that all its rounds share."
            )
        try:
            _build(hypermodel, hp)
        except Exception as error:
            raise FamilyError(f"build(hp) fails with {dict(hp.values)}: {in_a_line(error)}.") from error
        for parameter in hp.space:
            found.setdefault(_key(parameter), parameter)
            if _key(parameter) not in varied and hp.is_active(parameter):
                varied.add(_key(parameter))
                now = hp.values[parameter.name]
                waiting += [{**hp.values, parameter.name: value} for value in _tried(parameter) if value != now]
        # A scope that was never entered, whether or not anything was asked for in it.
        for conditions in [*hp.inactive_scopes, *(p.conditions for p in hp.space if not hp.is_active(p))]:
            scope = ("scope", *((condition.name, *condition.values) for condition in conditions))
            if scope not in varied:
                varied.add(scope)
                waiting.append({**hp.values, **{condition.name: condition.values[0] for condition in conditions}})
    return list(found.values())


def _tried(parameter: Any) -> Iterator[Value]:
    """Values that a build may branch on; a real number is no branch."""
    kind = type(parameter).__name__
    if kind in ("Choice", "Boolean"):
        yield from parameter.values
    elif kind == "Int":
        ends = (parameter.min_value, parameter.max_value)
        few = ends[1] - ends[0] < FEW and parameter.step in (1, None)
        yield from range(ends[0], ends[1] + 1) if few else ends


def _container(kind: Any, parameters: Iterable[Any], values: Mapping[str, Value]) -> Any:
    """KerasTuner's HyperParameters with these values, and the default of every other parameter that is then active."""
    space = [{"class_name": type(parameter).__name__, "config": parameter.get_config()} for parameter in parameters]
    hp = kind.from_config({"space": space, "values": {}})
    for parameter in hp.space:  # parents first, so that what is active is known by then
        if hp.is_active(parameter):
            hp.values[parameter.name] = values.get(parameter.name, parameter.default)
    return hp
