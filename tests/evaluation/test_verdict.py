from __future__ import annotations

import torch

from alp import seeding
from alp.evaluation import counts, judge


def test_the_mean_over_draws_decides():
    """Noise of one draw is larger than the margin; that of the mean is not."""
    x = torch.zeros(200, 3, 2, 2)
    y = torch.zeros(200, dtype=torch.int64)

    def predict(draws):
        def mean_logits(x, source):
            noise = sum(seeding.normal((len(x), 2), source) for _ in range(draws)) / draws
            return torch.tensor([1.0, 0.0]) + noise

        return mean_logits

    one = counts(predict(1), x, y, 0, "clean", 0, 3).float().mean() / 3
    many = counts(predict(64), x, y, 0, "clean", 0, 3).float().mean() / 3
    assert 0.6 < one < 0.9
    assert many == 1


def test_every_evaluation_has_draws_of_its_own():
    """An image that is right on half of its draws is right in about half of the evaluations."""
    x, y = torch.zeros(50, 3, 2, 2), torch.zeros(50, dtype=torch.int64)

    def predict(x, source):
        return seeding.normal((1, 2), source).expand(len(x), 2)

    right = counts(predict, x, y, 0, "clean", 0, 40)
    assert right.dtype == torch.int16
    assert len(set(right.tolist())) == 1
    assert 8 <= right[0] <= 32


def test_draws_are_fresh_for_every_seed_point_and_batch_and_repeat():
    seeds = []

    def predict(x, source):
        seeds.append(source.initial_seed())
        return torch.zeros(len(x), 2)

    x = torch.zeros(1, 3, 2, 2)
    keys = [(0, "clean", 0), (1, "clean", 0), (0, "single", 0), (0, "clean", 1)]
    for _ in range(2):
        for key in keys:
            judge(predict, x, *key)
    assert seeds[:4] == seeds[4:]
    assert len(set(seeds)) == 4


def test_a_prediction_that_is_not_finite_is_never_correct():
    logits = torch.tensor([[float("nan"), 0.0], [float("inf"), 0.0], [1.0, 0.0]])
    x, y = torch.zeros(3, 3, 2, 2), torch.zeros(3, dtype=torch.int64)
    assert judge(lambda x, source: logits, x, 0, "clean", 0).tolist() == [-1, -1, 0]
    assert counts(lambda x, source: logits, x, y, 0, "clean", 0, 2).tolist() == [0, 0, 2]


def test_judging_builds_no_graph():
    weight = torch.ones(2, requires_grad=True)
    seen = []

    def predict(x, source):
        logits = x.flatten(1)[:, :2] * weight
        seen.append(logits.requires_grad)
        return logits

    judge(predict, torch.zeros(1, 3, 2, 2), 0, "clean", 0)
    assert seen == [False]
