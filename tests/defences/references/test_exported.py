"""Programs of ``torch.export`` as classifiers, and files that are refused."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

import alp
from alp.errors import CheckpointError, ConfigError


def test_it_answers_as_the_module_does(program, new_images) -> None:
    x = new_images(5, 16, 16)
    model, module = alp.load("net.pt2"), alp.load("net.py:make").module
    assert torch.allclose(model(x), module(x), atol=1e-6)
    assert not any(each.training for each in model.train().module.modules())
    point = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.logits(point, None, 1).sum(), point)
    assert slope.abs().sum() > 0
    with pytest.raises(ConfigError, match="takes images of 16 x 16 pixels, and these have 8 x 8"):
        model(new_images(2, 8, 8))


@pytest.mark.parametrize("count", [1, 4, 5])
def test_a_fixed_batch_is_filled_up(place, count, exported, new_images) -> None:
    exported(place / "four.pt2", 4)
    x = new_images(count, 16, 16)
    assert torch.allclose(alp.load("four.pt2")(x), alp.load("net.py:make")(x), atol=1e-6)


def test_it_goes_to_another_process(program, new_images) -> None:
    model, x = alp.load("net.pt2"), new_images(2, 16, 16)
    assert torch.equal(pickle.loads(pickle.dumps(model))(x), model(x))


class Evil:
    def __reduce__(self):
        return print, ("pickled",)


def rewritten(path: Path, name: str, change) -> None:
    """The archive with the member that ends in ``name`` replaced by what ``change`` makes of it."""
    copy = path.with_suffix(".new")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for each in old.namelist():
            content = old.read(each)
            new.writestr(each, change(content) if each.endswith(name) else content)
    shutil.move(copy, path)


def edited(where, value):
    def change(content: bytes) -> bytes:
        tree = json.loads(content)
        place = tree
        for key in where[:-1]:
            place = place[key]
        place[where[-1]] = value
        return json.dumps(tree).encode()

    return change


def pickled(content: bytes) -> bytes:
    buffer = io.BytesIO()
    torch.save((Evil(),), buffer)
    return buffer.getvalue()


def target(operation: str):
    return edited(("graph_module", "graph", "nodes", 0, "target"), operation)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("sample_inputs/model.pt", pickled, "example inputs"),
        ("weights_config.json", edited(("config", "stem.bias", "use_pickle"), True), "pickled"),
        ("models/model.json", target("torch.os.system"), "torch.os.system"),
        ("models/model.json", target("torch.load"), "torch.load"),
        ("models/model.json", target("torch.ops.aten.save.default"), "the operation.*save"),
        ("models/model.json", target("torch.ops.aten.from_file.default"), "the operation.*from_f"),
        ("models/model.json", target("torch.ops.debugprims.load_tensor.default"), "load_tensor"),
        ("models/model.json", target("torch.ops.higher_order.call_torchbind"), "call_torchbind"),
        ("models/model.json", target("torch.ops.load_library.__call__"), "load_library"),
        ("models/model.json", edited(("guards_code",), ["print('guard')"]), "the guard"),
        ("models/model.json", edited(("note",), {"expr_str": "exec('1')"}), "the expression"),
        ("archive_format", lambda content: content, None),
    ],
)
def test_what_could_run_code_is_refused(program, name, change, message, capsys) -> None:
    rewritten(program, name, change)
    if message is None:  # rewriting alone changes nothing
        alp.load("net.pt2")
        return
    with pytest.raises(CheckpointError, match=message):
        alp.load("net.pt2")
    assert "pickled" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"no archive"])
def test_what_is_no_program_is_refused(place, content) -> None:
    (place / "net.pt2").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is no archive of torch.export.save"):
        alp.load("net.pt2")


def test_a_program_of_other_inputs_is_refused(place) -> None:
    program = torch.export.export(torch.nn.Linear(4, 2), (torch.rand(2, 4),))
    torch.export.save(program, "linear.pt2")
    with pytest.raises(CheckpointError, match=r"takes inputs of shapes \[\[2, 4\]\]"):
        alp.load("linear.pt2")
    with pytest.raises(CheckpointError, match=r"there is no file none\.pt2"):
        alp.load("none.pt2")
