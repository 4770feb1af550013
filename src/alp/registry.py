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
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

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

    @property
    def home(self) -> str:
        """The module, or the value of the entry point."""
        return self.where if isinstance(self.where, str) else self.where.value


def _home(thing: object) -> str:
    """Where a class or function is defined, as an entry point says it; of another object what it
    is."""
    return f"{thing.__module__}:{getattr(thing, '__qualname__', thing)}"


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # whatever another package raises when it is imported
        raise AlpError(
            f"the entry point {point.value!r} of {point.group!r} cannot be loaded "
            f"({type(error).__name__}: {error}); repair or uninstall its package"
        ) from error


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

        Raises:
            AlpError: something else is registered under the name.
        """

        def keep(thing: D) -> D:
            held = self._held.get(name, thing)
            if _home(held) != _home(thing):
                raise self._taken(name, _home(held), _home(thing))
            self._held[name] = thing  # type: ignore[assignment]
            return thing

        return keep

    def summary(self, name: str) -> str:
        """One line on what is registered under ``name``."""
        return self._places[name].summary

    def name_of(self, thing: object) -> str | None:
        """The name of a class or function that is registered, None of another. Imports nothing."""
        known = {_home(held): name for name, held in self._held.items()}
        if _home(thing) not in known:
            known |= {place.home: name for name, place in self._places.items()}
        return known.get(_home(thing))

    @cached_property
    def _own(self) -> dict[str, _Place]:
        """Name to where a module of the package registers it."""
        spec = find_spec(self._package)
        assert spec is not None
        return self._by_name(
            place
            for folder in spec.submodule_search_locations or ()
            for path in sorted(Path(folder).glob("*.py"))
            for place in self._registered(path)
        )

    @cached_property
    def _places(self) -> dict[str, _Place]:
        """Name to where it is registered, in the order of the list."""
        from importlib.metadata import entry_points  # takes as long as all the rest

        others = (
            _Place(point.name, point, _LAST, f"from {point.value}")
            for point in entry_points(group=self.group)
        )
        found = self._by_name([*self._own.values(), *others]).values()
        return {
            place.name: place for place in sorted(found, key=lambda each: (each.order, each.name))
        }

    def _by_name(self, places: Iterable[_Place]) -> dict[str, _Place]:
        found: dict[str, _Place] = {}
        for place in places:
            if place.name in found:
                raise self._taken(place.name, found[place.name].home, place.home)
            found[place.name] = place
        return found

    def _taken(self, name: str, first: str, second: str) -> AlpError:
        return AlpError(
            f"{first} and {second} are both called {name!r} in {self.group!r}; give one of them "
            "another name, or uninstall its package"
        )

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
                self._held[name] = _loaded(where)
        return self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._places, *self._held]))

    def __len__(self) -> int:
        return len({**self._places, **self._held})

    def __contains__(self, name: object) -> bool:
        return name in self._held or name in self._own or name in self._places
