"""Settings: to and from plain values, and no bad value gets past its constructor."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import math
import re
import sys
import typing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alp.config import (
    ClassifierConfig,
    EngineConfig,
    OptimConfig,
    PurifierConfig,
    RateConfig,
    digest,
    from_dict,
    require_number,
    to_dict,
)
from alp.errors import ConfigError, UnknownNameError, choose
from alp.training import AdversaryConfig, ClassifierStage, GuardStage, JointStage, PurifierStage

FLAT = [
    PurifierConfig,
    ClassifierConfig,
    OptimConfig,
    EngineConfig,
    RateConfig,
    AdversaryConfig,
]
KINDS = [*FLAT, PurifierStage, ClassifierStage, JointStage, GuardStage]
FIELDS = [
    (kind, each.name, typing.get_type_hints(kind)[each.name])
    for kind in KINDS
    for each in dataclasses.fields(kind)
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)

NO_NUMBERS = st.none() | st.booleans() | st.text() | st.lists(st.integers(), max_size=2)
NO_FINITE = st.sampled_from([math.nan, math.inf, -math.inf, 10**400])
BAD = {
    int: NO_NUMBERS | st.integers(max_value=-1) | st.floats(),
    float: NO_NUMBERS | NO_FINITE | st.floats(max_value=0, exclude_max=True),
    bool: st.none() | st.integers() | st.text() | st.floats(),
    str: st.none() | st.integers() | st.booleans(),
}


def bad_values(hint: Any) -> st.SearchStrategy[Any]:
    if typing.get_origin(hint) is typing.Literal:
        options = typing.get_args(hint)
        return st.text().filter(lambda text: text not in options) | st.none() | st.lists(st.none())
    return BAD.get(hint, st.none() | st.integers() | st.just({}) | st.text())


@every_kind
def test_round_trip_through_json(kind: type) -> None:
    config = kind()
    plain = json.loads(json.dumps(to_dict(config)))
    assert from_dict(kind, plain) == config
    assert from_dict(kind, {}) == config


def test_round_trip_keeps_every_value() -> None:
    """Nested values that are not the defaults, which a lost field would fall back to."""
    stage = JointStage(
        ClassifierConfig("base", 7),
        AdversaryConfig("trades", "l2", 0.5, 3, 2.0),
        draws=3,
        label_smoothing=0.1,
        input_noise=0.2,
        optim=OptimConfig(2.5, 17, "adamw", 0.3, 0.2, 0.01, 4.0, 0.5),
        agreement=2.0,
        reconstruction=3.0,
        rate=4.0,
    )
    again = from_dict(JointStage, to_dict(stage))
    assert again == stage
    assert isinstance(again.adversary, AdversaryConfig)
    changed = [f.name for f in dataclasses.fields(stage) if f.name != "augment"]
    assert all(getattr(stage, name) != getattr(JointStage(), name) for name in changed)


@every_kind
def test_an_unknown_field_is_refused_with_the_known_ones(kind: type) -> None:
    known = dataclasses.fields(kind)[0].name
    with pytest.raises(ConfigError, match=f"no field 'colour'.*{known}"):
        from_dict(kind, {"colour": 1})


def test_an_unknown_nested_field_is_refused_naming_its_class() -> None:
    with pytest.raises(ConfigError, match="OptimConfig has no field 'momentum'"):
        from_dict(PurifierStage, {"optim": {"momentum": 0.9}})


@pytest.mark.parametrize(
    ("kind", "name", "hint"), FIELDS, ids=lambda value: getattr(value, "__name__", str(value))
)
@settings(max_examples=30)
@given(data=st.data())
def test_a_bad_value_is_refused_naming_the_field(
    kind: type, name: str, hint: Any, data: st.DataObject
) -> None:
    value = data.draw(bad_values(hint))
    with pytest.raises(ConfigError, match=name):
        kind(**{name: value})


@every_kind
@settings(max_examples=30)
@given(value=st.none() | st.integers() | st.text() | st.lists(st.integers()))
def test_what_is_no_mapping_is_refused(kind: type, value: Any) -> None:
    with pytest.raises(ConfigError, match=kind.__name__):
        from_dict(kind, value)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (PurifierConfig, "sigma", 0),
        (PurifierConfig, "width", 0),
        (OptimConfig, "ema", 1.0),
        (OptimConfig, "ema", 1.5),
        (OptimConfig, "warmup", 1.5),
        (OptimConfig, "lr", 0.0),
        (OptimConfig, "batch_size", 32.0),
        (EngineConfig, "devices", 0),
        (AdversaryConfig, "eps", 0.0),
        (ClassifierStage, "draws", 0),
        (ClassifierStage, "label_smoothing", 1.01),
    ],
)
def test_the_edges_of_the_ranges(kind: type, name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is .*give"):
        kind(**{name: value})


def test_a_whole_number_in_a_float_field_is_the_same_setting() -> None:
    """Else a training made with epochs 3 would be refused as another one than with 3.0."""
    assert digest(to_dict(OptimConfig(epochs=3))) == digest(to_dict(OptimConfig(epochs=3.0)))


def test_digest_depends_on_values_and_not_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1, "b": [2]}) != digest({"a": 1, "b": [3]})
    assert len(digest(None)) == 64


@every_kind
def test_every_field_is_explained(kind: type) -> None:
    """A literal below each field: the command line's help is made from them."""
    parents = [cls for cls in kind.__mro__ if dataclasses.is_dataclass(cls)]
    explained = set()
    for cls in parents:
        tree = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
        body = next(
            node.body
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and node.name == cls.__name__
        )
        for field, below in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                explained.add(ast.unparse(field.target))
    assert {f.name for f in dataclasses.fields(kind)} <= explained


def test_an_unknown_name_lists_the_valid_ones() -> None:
    assert choose({"pgd": 1, "fgsm": 2}, "pgd", "attack") == 1
    with pytest.raises(UnknownNameError, match="unknown attack 'pgx'; choose one of: fgsm, pgd"):
        choose({"pgd": 1, "fgsm": 2}, "pgx", "attack")


@pytest.mark.parametrize(
    ("value", "options", "words"),
    [
        (True, {}, "a finite number"),
        (float("nan"), {}, "a finite number"),
        (float("inf"), {"low": 0}, "a finite number of at least 0"),
        (10**400, {"low": 0, "above": True}, "a finite number above zero"),
        (0, {"low": 0, "above": True}, "a finite number above zero"),
        (2, {"low": 2, "above": True}, "a finite number above 2"),
        (1.5, {"high": 1, "low": 0}, "a finite number from 0 to 1"),
        (1.0, {"low": 1, "whole": True}, "a whole number above zero"),
        (-1, {"low": 0, "whole": True}, "a whole number of at least 0"),
        (96, {"low": 1, "high": 95, "whole": True}, "a whole number from 1 to 95"),
        ("1", {"whole": True}, "a whole number"),
    ],
)
def test_numbers_out_of_their_bounds(value: object, options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"size is {value!r}; give {words}") + "$"):
        require_number("size", value, **options)


@pytest.mark.parametrize(
    ("value", "options"),
    [(0, {"low": 0}), (0.5, {"low": 0, "above": True, "high": 0.5}), (-3, {}),
     (10**400, {"whole": True}), (1, {"low": 1, "high": 1, "whole": True})],
)  # fmt: skip
def test_numbers_on_their_bounds(value: float, options: dict) -> None:
    require_number("size", value, **options)
