from __future__ import annotations

import pytest
import torch

from alp.attacks import Linf
from alp.attacks.apgd import APGD
from alp.attacks.losses import LOSSES, dlr
from alp.errors import ConfigError
from alp.seeding import generator, normal

LOGITS = torch.tensor([[2.0, 1.0, -1.0, -4.0], [0.0, 3.0, 2.5, 1.0], [5.0, 4.0, 3.0, 0.0]])
Y = torch.tensor([0, 2, 3])


def test_it_is_the_formula_of_the_paper() -> None:
    """-(z_y - max of the others) / (z_1st - z_3rd): right, second and last."""
    expected = torch.tensor([-(2 - 1) / (2 + 1), (3 - 2.5) / (3 - 1), (5 - 0) / (5 - 3)])
    assert torch.allclose(dlr(LOGITS, Y), expected)
    assert LOSSES["dlr"] is dlr


def test_neither_scale_nor_shift_of_the_logits_counts() -> None:
    assert torch.allclose(dlr(1e6 * LOGITS, Y), dlr(LOGITS, Y))
    assert torch.allclose(dlr(1e-3 * LOGITS + 7, Y), dlr(LOGITS, Y), rtol=1e-3)


def test_of_soft_labels_the_largest_counts() -> None:
    soft = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.4, 0.3], [0.0, 0.3, 0.3, 0.4]])
    assert torch.equal(dlr(LOGITS, soft), dlr(LOGITS, Y))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_equal_logits_leave_it_finite(dtype: torch.dtype) -> None:
    logits = torch.ones(3, 4, dtype=dtype, requires_grad=True)
    value = dlr(logits, Y)
    value.sum().backward()
    assert (value == 0).all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_two_classes_are_refused() -> None:
    x = torch.full((2, 3, 2, 2), 0.5)
    with pytest.raises(ConfigError, match="the target has 2; choose the loss margin or ce"):
        APGD(loss="dlr")(
            lambda images: images.flatten(1)[:, :2],
            x,
            torch.tensor([0, 1]),
            Linf(0.1),
            generator(0, "attack"),
        )


def test_a_confident_model_hides_nothing_from_it() -> None:
    """Of logits this large the cross-entropy's gradient is zero, and dlr's is not."""
    weight = 1e4 * normal((4, 12), generator(0, "weight"))

    def target(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ weight.T

    x = 0.5 + 0.1 * normal((20, 3, 2, 2), generator(1, "x")).clamp(-2, 2)
    y = target(x).argmax(1)
    fooled = {
        loss: (
            target(APGD(20, loss=loss)(target, x, y, Linf(0.15), generator(2, "attack"))).argmax(1)
            != y
        ).sum()
        for loss in ("ce", "dlr")
    }
    assert fooled["dlr"] >= fooled["ce"] + 4


def test_it_is_the_classes_that_have_to_be_three_and_not_the_images() -> None:
    one = LOSSES["dlr"](torch.tensor([[3.0, 1.0, -1.0]]), torch.tensor([0]))
    assert one.tolist() == [-0.5]
    for count in (1, 2, 3, 4):
        with pytest.raises(ConfigError, match="compares 3 classes and the target has 2"):
            LOSSES["dlr"](torch.zeros(count, 2), torch.zeros(count, dtype=torch.int64))
