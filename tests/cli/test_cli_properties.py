"""Any command line and any file of options gives settings or an error in words, never a
traceback."""

from __future__ import annotations

import contextlib
import io
import typing
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from alp.cli import COMMANDS
from alp.cli.settings import UsageError, _Parser, parse
from alp.errors import AlpError

pytestmark = pytest.mark.slow

KINDS = {name: typing.get_type_hints(COMMANDS[name])["settings"] for name in COMMANDS}
CHOSEN = {
    "recipe": "joint",
    "scale": "cpu",
    "norm": "l2",
    "method": "apgd",
    "executor": "submitit",
}
OPTIONS = {name: list(_Parser(name, kind, CHOSEN).options) for name, kind in KINDS.items()}

names = st.sampled_from(list(KINDS))
WORDS = "8/255 1e-3 -1 0 nan inf 1/0 / 128 none true gpu linf l2 pgd apgd cpu - -- -h single all"
ODD = ("", " ", "\0", "\udcff", "\x1b[31m", "~nobody", "joint", "9" * 5000, "a" * 5000)
words = st.sampled_from([*WORDS.split(), *ODD])
texts = words | st.text(max_size=12) | st.integers().map(str) | st.floats().map(repr)


@st.composite
def lines(draw: st.DrawFn, name: str) -> list[str]:
    """Arguments of a command, known ones and others, in any order."""
    known = st.sampled_from([*OPTIONS[name], "print_config"]).map("--{}".format)
    cut = known.map(lambda each: each[:-1])
    option = known | cut | st.text(max_size=8).map("--{}".format)
    joined = st.builds("{}={}".format, option, texts)
    return draw(st.lists(option | joined | texts, max_size=8))


def read(name: str, arguments: list[str]) -> object | None:
    """The settings; None where an error says what is wrong, or help was printed."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(AlpError, SystemExit):
        return parse(name, KINDS[name], arguments)
    return None


@given(names.flatmap(lambda name: st.tuples(st.just(name), lines(name))))
@example(("protocol", ["w", "--out", "o", "--norm", "l2", "--threat.eps", "128"]))
@example(("train", ["--", "joint", "--out", "o"]))
@example(("data", ["--name", "x", "--split"]))
def test_any_command_line(case: tuple[str, list[str]]) -> None:
    name, arguments = case
    made = read(name, arguments)
    assert made is None or type(made) is KINDS[name]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.dates(),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3)
    ),
    max_leaves=8,
)


@given(names.flatmap(lambda name: st.tuples(
    st.just(name),
    st.dictionaries(st.sampled_from(OPTIONS[name]) | st.text(max_size=8), values, max_size=6),
)))  # fmt: skip
def test_any_file_of_options(tmp_path_factory: pytest.TempPathFactory, case) -> None:
    name, options = case
    nested: dict = {}
    for key, value in options.items():
        first, _, rest = key.partition(".")
        place = nested.setdefault(first, {}) if rest else nested
        if isinstance(place, dict):
            place[rest or first] = value
    path = tmp_path_factory.getbasetemp() / "options.yaml"
    path.write_text(yaml.safe_dump(nested, allow_unicode=False))
    read(name, ["--config", str(path)])


@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="replace"))
)
@example(b"\xff\xfe")
@example(b"images: &a [*a]")
@example(b"[" * 100_000)
@example(b"a: " * 1_000)
@example(b"? {a: 1}\n: 2")
@example(b"!!python/object/apply:os.system [ls]")
@example(b" " * (2**20 + 1))
def test_any_bytes_as_a_file_of_options(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "options.bin"
    path.write_bytes(content)
    read("protocol", ["w", "--out", "o", "--config", str(path)])


@pytest.mark.parametrize("name", KINDS)
def test_a_printed_configuration_is_read_back(name: str, tmp_path: Path) -> None:
    lines = {
        "train": ["joint"],
        "sweep": ["joint", "--grid", "seed=0,1"],
        "defend": ["median", "--classifier", "c"],
        "protect": ["c", "pictures"],
    }
    line = {**lines, "reproduce": [], "demo": [], "models": []}.get(name, ["w"])
    given = {"out": "o", "rows": "defended=x", "purifier": "p", "seed": "7", "threat.eps": "3/255"}
    for key, value in given.items():
        line += [f"--{key}={value}"] * (key in OPTIONS[name])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
        parse(name, KINDS[name], [*line, "--print_config"])
    path = tmp_path / "printed.yaml"
    path.write_text(printed.getvalue())
    assert parse(name, KINDS[name], ["--config", str(path)]) == parse(name, KINDS[name], line)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("train joint --stage.optim.epoch 3", "--stage.optim.epochs"),
        ("train joint --stage.adversary.epz 3", "--stage.adversary.eps"),
        ("train joint --momentun 3 --lr 1", None),
        ("train joint --epohcs 3", "--stage.optim.epochs"),
        ("train joint --zzz 3", None),
        ("train joint --lr 1", "--stage.optim.lr"),
        ("protocol w --eps 8/255", "--threat.eps"),
        ("protocol w --image 3", "--images"),
        ("bench w --consensus.drawz 3", "--consensus.draws"),
        ("data shapes --spilt test", "--split"),
    ],
)
def test_a_mistyped_option_gets_a_suggestion(line: str, meant: str | None) -> None:
    name, *arguments = line.split()
    with pytest.raises(UsageError) as caught:
        parse(name, KINDS[name], [*arguments, "--out", "o"] if name != "data" else arguments)
    assert ("did you mean" in str(caught.value)) == (meant is not None)
    assert meant is None or f"did you mean {meant}?" in str(caught.value)


def test_options_may_stand_anywhere(tmp_path: Path) -> None:
    made = parse("train", KINDS["train"], ["--stage.optim.epochs", "2", "joint", "--out", "o"])
    same = parse("train", KINDS["train"], ["--out=o", "--stage.optim.epochs=2", "joint"])
    assert made == same
    line = ["--purifier", "p", "--out", "o", "--", "-a.png", "--b"]
    named = parse("purify", KINDS["purify"], line)
    assert named.pictures == (Path("-a.png"), Path("--b"))
