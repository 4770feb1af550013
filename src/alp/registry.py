"""Names of what can be plugged in: defences, attacks, checks, data sets, experiments, backends.

A module of the registry's package registers what it defines by a decorator,

    @DEFENCES.register("jpeg")
    class JPEG(Preprocessed): ...

and nothing else has to be edited. Another installed package adds to a registry by an entry point
of the registry's group (``[project.entry-points."alp.defences"]``). Listing the names imports
nothing: they are read from the sources. A module is imported when one of its names is looked up.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from alp.errors import AlpError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")
D = TypeVar("D")


_LAST = 10**6


class _Place(NamedTuple):
    """Where something is registered."""

    name: str
    where: str | EntryPoint
    order: int
    summary: str


class Registry(Mapping[str, T], Generic[T]):
    """Name to what is registered under it, sorted by ``order`` and then by name."""

    def __init__(self, name: str, package: str, group: str) -> None:
        """A registry that the modules of ``package`` know by the global ``name`` and that other
        packages add to by entry points of ``group``."""
        self._name, self._package, self.group = name, package, group
        self._held: dict[str, T] = {}

    def register(self, name: str, *, order: int = 0, summary: str = "") -> Callable[[D], D]:
        """Decorator that registers a class or function under ``name``. Its arguments are literals,
        since they are read from the source.

        Args:
            order: its place where the names are listed; equal places are sorted by name.
            summary: one line for lists and help.
        """

        def keep(thing: D) -> D:
            self._held[name] = thing  # type: ignore[assignment]
            return thing

        return keep

    def summary(self, name: str) -> str:
        """One line on what is registered under ``name``."""
        return self._places[name].summary

    @cached_property
    def _own(self) -> dict[str, _Place]:
        """Name to where a module of the package registers it."""
        spec = find_spec(self._package)
        assert spec is not None
        return {
            place.name: place
            for folder in spec.submodule_search_locations or ()
            for path in sorted(Path(folder).glob("*.py"))
            for place in self._registered(path)
        }

    @cached_property
    def _places(self) -> dict[str, _Place]:
        """Name to where it is registered, in the order of the list."""
        from importlib.metadata import entry_points  # takes as long as all the rest

        found = dict(self._own)
        for point in entry_points(group=self.group):
            if point.name in self._own:
                raise AlpError(
                    f"the entry point {point.value!r} registers {point.name!r} in "
                    f"{self.group!r}, a name that alp uses itself; give it another name"
                )
            found[point.name] = _Place(point.name, point, _LAST, f"from {point.value}")
        return {
            place.name: place
            for place in sorted(found.values(), key=lambda each: (each.order, each.name))
        }

    def _registered(self, path: Path) -> Iterator[_Place]:
        # The arguments alone are parsed: whole modules take a noticeable time.
        decorator = rf"^@{self._name}\.register\((.*?)\)\n(?=@|class |def )"
        for found in re.finditer(decorator, path.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            call = ast.parse(f"register({found[1]})", mode="eval").body
            assert isinstance(call, ast.Call)
            options = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
            name = ast.literal_eval(call.args[0])
            module = f"{self._package}.{path.stem}"
            yield _Place(name, module, options.get("order", 0), options.get("summary", ""))

    def __getitem__(self, name: str) -> T:
        if name not in self._held:
            where = (self._own.get(name) or self._places[name]).where
            if isinstance(where, str):
                import_module(where)
            else:
                self._held[name] = where.load()
        return self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._places, *self._held]))

    def __len__(self) -> int:
        return len({**self._places, **self._held})

    def __contains__(self, name: object) -> bool:
        return name in self._held or name in self._own or name in self._places
