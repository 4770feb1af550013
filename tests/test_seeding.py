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

from alp import seeding
from alp.errors import ConfigError
from alp.seeding import (
    Common,
    Rows,
    Shard,
    Zeros,
    derive,
    entropy,
    for_data,
    generator,
    initialising,
    keyed,
    lent,
    normal,
    recorded,
    require_same,
    uniform,
)

pytestmark = pytest.mark.slow

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


GOLDEN = {
    "1": {
        "generator": [4137962952920263435, 4031111447899011935, 4397956233723743758],
        "keyed": [1407639518939636932, 551904368352831990, 3475536756154880211],
        "lent": [1390851128, 327741615, 1407639518939636932],
    },
    "2": {
        "generator": [1527872722043936880, 2154304268524366382, 2620088148420068110],
        "keyed": [556275926397989506, 3408440897850820527, 124228588836562421],
        "lent": [1390851128, 1961246984, 556275926397989506],
    },
}
"""Scheme to the first draws of each kind of generator."""


def three(source: torch.Generator) -> list[int]:
    return torch.randint(2**62, (3,), generator=source).tolist()


@pytest.mark.parametrize("scheme", ["1", "2"])
def test_the_draws_of_a_scheme_do_not_change_between_releases(monkeypatch, scheme) -> None:
    monkeypatch.setenv("ALP_SEEDING", scheme)
    expected = GOLDEN[scheme]
    assert three(generator(0, "judge", 3)) == expected["generator"]
    assert three(keyed(7)) == expected["keyed"]
    with lent(7):
        drawn = [random.getrandbits(32), int(np.random.randint(2**31))]  # noqa: NPY002
        assert [*drawn, int(torch.randint(2**62, ()))] == expected["lent"]
    assert three(for_data(0, "judge", 3)) == GOLDEN["1"]["generator"]


def test_the_schemes(monkeypatch) -> None:
    monkeypatch.delenv("ALP_SEEDING", raising=False)
    assert three(keyed(7)) == GOLDEN["2"]["keyed"]
    assert recorded() == {"seeding": 2}
    require_same({"seeding": 2}, "a record")
    with pytest.raises(ConfigError, match=r"old was made by .* 1.*ALP_SEEDING=1 to go on"):
        require_same({}, "old")
    monkeypatch.setenv("ALP_SEEDING", "1")
    assert recorded() == {}
    require_same({}, "a record")
    with pytest.raises(ConfigError, match=r"new was made by .* 2.*ALP_SEEDING=2 to go on"):
        require_same({"seeding": 2}, "new")
    for wrong in ("3", "", "two"):
        monkeypatch.setenv("ALP_SEEDING", wrong)
        with pytest.raises(ConfigError, match=f"ALP_SEEDING is '{wrong}'; give 1"):
            generator(0, "a")


def test_the_state_is_that_of_the_mersenne_twister() -> None:
    """Every word of it, by numpy's implementation."""
    state = np.random.default_rng(0).bytes(seeding.STATE)
    source = seeding._filled(2**64 - 3, state, "cpu")
    twister = np.random.MT19937()
    words = np.frombuffer(state, "<u4")
    twister.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": 624}}
    ours = torch.empty(2000, dtype=torch.int32).random_(generator=source)
    assert np.array_equal(ours.numpy(), twister.random_raw(2000) & 0x7FFFFFFF)
    assert source.initial_seed() == 2**64 - 3


@pytest.mark.parametrize("scheme", ["1", "2"])
def test_a_generator_tells_its_derived_seed(monkeypatch, scheme) -> None:
    monkeypatch.setenv("ALP_SEEDING", scheme)
    assert generator(0, "judge", 3).initial_seed() == derive(0, "judge", 3)
    assert keyed(2**62 + 1).initial_seed() == 2**62 + 1


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_state_reaches_the_generators_of_gpus(monkeypatch, kind) -> None:
    class Philox:
        device = torch.device(kind)
        seed = offset = 0

        def manual_seed(self, seed: int) -> None:
            self.seed, self.offset = seed, 0

        def set_offset(self, offset: int) -> None:
            assert kind == "cuda"
            assert offset % 4 == 0
            self.offset = offset

    monkeypatch.setattr(torch, "Generator", lambda device: Philox())
    state = bytes(range(250, 256)) * 416
    made: Philox = seeding._filled(2**64 - 3, state, kind)
    assert made.seed == 2**64 - 3
    expected = int.from_bytes(state[:8], "little") // 16 * 4 if kind == "cuda" else 0
    assert made.offset == expected < 2**62


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_generators_of_a_gpu_differ_and_repeat() -> None:
    def drawn(source: torch.Generator) -> torch.Tensor:
        return normal((9,), source)

    assert torch.equal(*(drawn(generator(0, "a", device="cuda")) for _ in range(2)))
    assert not torch.equal(*(drawn(generator(0, "a", i, device="cuda")) for i in range(2)))
    assert not torch.equal(*(drawn(entropy("cuda")) for _ in range(2)))


@pytest.mark.slow
def test_a_million_derived_generators_differ(monkeypatch) -> None:
    """In the words that give the first draws; of 32 bits about 116 pairs would be alike."""
    monkeypatch.setattr(seeding, "STATE", 16)
    monkeypatch.setattr(seeding, "_filled", lambda seed, state, device: state)
    assert len({generator(0, "step", i) for i in range(1_000_000)}) == 1_000_000


def test_derived_generators_that_were_alike_differ() -> None:
    """Of scheme 1, the first six pairs of 200,000 steps."""
    seen: dict[int, int] = {}
    pairs = []
    for i in range(200_000):
        first = seen.setdefault(derive(0, "step", i) % 2**32, i)
        if first != i:
            pairs.append((first, i))
    assert len(pairs) == 6
    for one, other in pairs:
        assert torch.equal(*(normal((9,), for_data(0, "step", i)) for i in (one, other)))
        assert not torch.equal(*(normal((9,), generator(0, "step", i)) for i in (one, other)))


@pytest.mark.slow
def test_200_000_generators_of_the_operating_system_differ() -> None:
    """Of 32 bits about 5 pairs would be alike."""
    drawn = {int(torch.randint(2**62, (), generator=entropy())) for _ in range(200_000)}
    assert len(drawn) == 200_000


def test_the_operating_system_fills_all_of_a_generator() -> None:
    states = [entropy().get_state()[24:5016].view(torch.int64) for _ in range(2)]
    assert (states[0] == states[1]).sum() <= 1
    assert all(state.min() >= 0 and 2**31 < state.max() < 2**32 for state in states)


def test_forked_processes_draw_differently(answers_of_forks) -> None:
    assert len(answers_of_forks(lambda: normal((9,), entropy()).numpy().tobytes())) == 3


def test_the_distributions() -> None:
    assert stats.kstest(normal((20_000,), generator(0, "ks")).numpy(), "norm").pvalue > 0.01
    assert stats.kstest(uniform((20_000,), generator(0, "ks")).numpy(), "uniform").pvalue > 0.01


@draws
@pytest.mark.parametrize("world", [1, 2, 3, 4])
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


def test_zeros_are_drawn_where_any_draw_will_do() -> None:
    source = Zeros(torch.device("cpu"))
    for draw in (normal, uniform):
        assert torch.equal(draw((2, 3), source), torch.zeros(2, 3))
    rows = Rows(source, torch.tensor([1, 3]), 5)
    assert torch.equal(normal((2, 3), rows), torch.zeros(2, 3))


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


@pytest.mark.parametrize("source", [0, None, "seed"])
def test_what_is_no_source_is_named(source) -> None:
    with pytest.raises(ConfigError, match=f"source of randomness is {source!r}; give"):
        seeding.normal((2, 3), source)
