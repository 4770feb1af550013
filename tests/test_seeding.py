"""Draws are a function of (seed, purpose, counters), and of nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from alp.seeding import (
    Common,
    Shard,
    derive,
    entropy,
    generator,
    initialising,
    lent,
    normal,
    uniform,
)

ARGUMENTS = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 0), (0, "a", 1), (0, "a", 0, 1), (0, "a", 1, 0)]
draws = pytest.mark.parametrize("draw", [normal, uniform], ids=["normal", "uniform"])


def test_the_same_arguments_give_the_same_draws() -> None:
    for arguments in ARGUMENTS:
        first, second = (normal((50,), generator(*arguments)) for _ in range(2))
        assert torch.equal(first, second)


def test_every_argument_changes_every_draw() -> None:
    rows = torch.stack([normal((5000,), generator(*arguments)) for arguments in ARGUMENTS])
    correlation = torch.corrcoef(rows) - torch.eye(len(rows))
    assert correlation.abs().max() < 5 / 5000**0.5  # five standard errors


@given(st.integers(), st.text(st.characters(exclude_characters="/"), max_size=8))
@example(0, "\ud800")
def test_seeds_are_63_bits_and_all_different(seed: int, purpose: str) -> None:
    seeds = [
        derive(seed, purpose),
        derive(seed + 1, purpose),
        derive(seed, purpose + "x"),
        *(derive(seed, purpose, step) for step in range(5)),
        derive(seed, purpose, 1, 2),
        derive(seed, purpose, 12),
    ]
    assert all(0 <= each < 2**63 for each in seeds)
    assert len(set(seeds)) == len(seeds)


def test_draws_do_not_change_between_releases() -> None:
    """Records name a seed: what it stands for has to stay."""
    assert derive(0, "judge", 3) == 7739975484498693452


def test_the_distributions() -> None:
    assert stats.kstest(normal((20_000,), generator(0, "ks")).numpy(), "norm").pvalue > 0.01
    assert stats.kstest(uniform((20_000,), generator(0, "ks")).numpy(), "uniform").pvalue > 0.01


@draws
@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("each", [1, 2, 5])
def test_shards_are_the_rows_of_the_whole(draw, world: int, each: int) -> None:
    """Also for the second draw: all processes advance their generators alike."""
    whole = generator(3, "step")
    shards = [Shard(generator(3, "step"), rank, world) for rank in range(world)]
    for shape in [(2, 3), (4,)]:
        expected = draw((each * world, *shape), whole)
        parts = [draw((each, *shape), shard) for shard in shards]
        assert all(part.shape == (each, *shape) for part in parts)
        assert torch.equal(torch.cat(parts), expected)


@draws
def test_draws_advance_their_generator_and_not_the_global_one(draw) -> None:
    before = torch.get_rng_state()
    source = generator(0, "x")
    assert not torch.equal(draw((9,), source), draw((9,), source))
    assert torch.equal(torch.get_rng_state(), before)


def test_entropy_is_not_predictable() -> None:
    assert entropy().initial_seed() != entropy().initial_seed()


def test_initialising_is_deterministic_and_leaves_no_trace() -> None:
    def weights(seed: int, purpose: str) -> torch.Tensor:
        with initialising(seed, purpose):
            return nn.Linear(4, 4).weight.detach()

    before = torch.get_rng_state()
    first = weights(0, "a")
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)  # another global state
    assert torch.equal(weights(0, "a"), first)
    assert not torch.equal(weights(0, "b"), first)
    assert not torch.equal(weights(1, "a"), first)


def test_initial_weights_do_not_depend_on_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    weights = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with initialising(0, "a"):
            weights.append(nn.init.orthogonal_(torch.empty(64, 48)))
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert torch.equal(*weights)


def test_initialising_restores_the_state_after_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), initialising(0, "a"):
        torch.rand(1 // 0)
    assert torch.equal(torch.get_rng_state(), before)


@draws
@given(rows=st.integers(1, 9), times=st.integers(1, 3))
def test_common_draws_are_alike_for_all_rows_of_any_batch(draw, rows: int, times: int) -> None:
    few, many = Common(generator(4, "bank")), Common(generator(4, "bank"))
    for _ in range(times):
        first, second = draw((1, 3, 2), few), draw((rows, 3, 2), many)
        assert torch.equal(first.expand(rows, 3, 2), second)
    assert first.unique().numel() == 6, "values of one row differ"


def global_draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_lent_generators_start_from_the_seed_and_are_given_back() -> None:
    with lent(1):
        before = global_draws()
        with lent(7) as touched:
            assert not touched()
            first = global_draws()
            assert touched()
        after = global_draws()
    with lent(1):
        assert (global_draws(), global_draws()) == (before, after)
    with lent(7):
        assert global_draws() == first
    with lent(8):
        other = global_draws()
    assert all(one != two for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("which", [0, 1, 2], ids=["python", "numpy", "torch"])
def test_a_draw_from_any_global_generator_is_noticed(which: int) -> None:
    draws = (random.random, np.random.rand, lambda: torch.rand(()))
    with lent(3) as touched:
        draws[which]()
        assert touched()


def test_lent_generators_are_given_back_after_an_error() -> None:
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="shape"), lent(2):
        torch.rand(3).view(2)
    assert torch.equal(torch.get_rng_state(), state)
