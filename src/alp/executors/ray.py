"""Ray: a cluster that is there, or one on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TypeVar

from alp.errors import AlpError, install
from alp.executors import EXECUTORS, Workers
from alp.executors.units import ATTEMPTS

T = TypeVar("T")


@EXECUTORS.register("ray", order=4, summary="a Ray cluster")
@dataclass(frozen=True)
class Ray(Workers):
    """Units are tasks of a Ray cluster. Ray itself does a lost worker's or node's tasks again."""

    address: str | None = None
    """Of the cluster, such as auto or ray://host:10001; without one that of Ray's own setting
    (RAY_ADDRESS), or a cluster of --processes workers on this machine."""
    gpus: float = 0.0
    """GPUs of a unit; a part of one where units share it."""

    @contextmanager
    def start(self, count: int, threads: int) -> Iterator[Executor]:
        if find_spec("ray") is None:
            raise AlpError(f"the executor ray needs Ray: {install('ray')}")
        import os

        import ray

        address = self.address or os.environ.get("RAY_ADDRESS")
        here = {"num_cpus": count * threads, "include_dashboard": False}
        given: dict[str, Any] = {"address": address} if address else here
        try:
            ray.init(**given, log_to_driver=False, logging_level="error")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise AlpError(
                f"no Ray cluster answers at {address or 'this machine'} ({error}); start one with "
                "'ray start --head', and join it from every machine with 'ray start --address'"
            ) from error
        executor = RayExecutor(threads, self.gpus)
        try:
            yield executor
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            ray.shutdown()


class RayExecutor(Executor):
    """Tasks of the Ray cluster that this process has joined."""

    def __init__(self, threads: int, gpus: float) -> None:
        """``threads``: processors of a task; ``gpus``: of a task."""
        import ray

        options = {"num_cpus": threads, "num_gpus": gpus, "max_retries": ATTEMPTS - 1}
        self._call = ray.remote(**options)(_called)
        self._running: dict[Future[Any], Any] = {}

    def tried(self, error: BaseException) -> int:
        """Attempts that an error stands for: Ray has started a lost task again itself."""
        from ray.exceptions import RayError

        return ATTEMPTS if isinstance(error, RayError) else 1

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        task = self._call.remote(fn, args, kwargs)
        future: Future[T] = Future()
        self._running[future] = task
        future.add_done_callback(self._done)
        task.future().add_done_callback(lambda inner: _pass_on(inner, future))
        return future

    def _done(self, future: Future[Any]) -> None:
        import ray

        task = self._running.pop(future, None)
        if future.cancelled() and task is not None and ray.is_initialized():
            ray.cancel(task, force=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for future in list(self._running):
            if cancel_futures:
                future.cancel()
            elif wait:
                future.exception()


def _pass_on(inner: Future[T], future: Future[T]) -> None:
    """Give ``future`` what came of a task: of an error the unit's own, without Ray's around it."""
    from ray.exceptions import RayTaskError

    if not future.set_running_or_notify_cancel():
        return
    error = inner.exception()
    if isinstance(error, RayTaskError):
        error = error.cause
    if error is None:
        future.set_result(inner.result())
    else:
        future.set_exception(error)


def _called(fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    return fn(*args, **kwargs)
