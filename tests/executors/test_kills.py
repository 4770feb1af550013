"""Workers, nodes and commands that are killed: the same record, and one unit done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from killing import Killing, repeated
from test_executor_records import ENGINES, MADE, files, images, made, model, one_thread, started

import alp
from alp.data import load_data
from alp.defences.plan import SamplingPlan
from alp.evaluation.certify import CertifyConfig, certify_into, smoothed_of
from alp.executors import EXECUTORS
from alp.executors.ray import Ray

__all__ = ["images", "made", "model", "one_thread"]

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SOURCE = Path(alp.__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def importable(one_thread) -> None:
    """Workers that are no children of this process find the tests' modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(SOURCE)]))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.mark.parametrize("name", ENGINES)
def test_a_worker_killed_in_a_unit(name: str, model, images, tmp_path: Path) -> None:
    """Both commands on one executor, the one with a folder that workers see, the other without."""
    with started(name) as executor:
        for place, make in MADE.items():
            log = tmp_path / f"{place}-log"
            log.mkdir()
            options = {"resume": tmp_path / "parts"} if place == "evaluate" else {}
            found = make(model, images, executor=Killing(executor, log, victim=2), **options)
            alone = files(make(model, images), tmp_path / f"{place}-alone")
            assert files(found, tmp_path / place) == alone
            assert (log / "struck").exists()
            assert repeated(log) == 1, "and no other unit was"


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
def test_a_node_of_ray_is_killed(model, images, tmp_path: Path) -> None:
    """Two nodes on this machine, one of which is killed with all its processes."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        node = cluster.add_node(num_cpus=1)
        with Ray(cluster.address).start(2, 1) as executor:
            for place, make in MADE.items():
                log = tmp_path / f"{place}-log"
                log.mkdir()
                (log / "node").write_text(node.node_id)

                def kill(log: Path = log, node=node) -> None:
                    while not (log / "struck").exists():
                        time.sleep(0.05)
                    cluster.remove_node(node, allow_graceful=False)

                killer = threading.Thread(target=kill, daemon=True)
                killer.start()
                found = make(
                    model, images, executor=Killing(executor, log), resume=tmp_path / f"{place}-p"
                )
                killer.join(60)
                alone = files(make(model, images), tmp_path / f"{place}-alone")
                assert files(found, tmp_path / place) == alone
                assert repeated(log) == 1
                node = cluster.add_node(num_cpus=1)
    finally:
        cluster.shutdown()


def test_a_command_killed_alone_goes_on(model, images, tmp_path: Path) -> None:
    """SIGKILL to the command, not to its workers, which keep what they are at and end."""
    line = [sys.executable, "-m", "alp", "certify", model.origin.place, "--data", "shapes"]
    line += ["--images", "12", "--sigma", "0.25", "--radii", "0", "--budget", "512"]
    line += ["--batch_size", "2", "--threads", "1", "--out"]
    command = subprocess.Popen([*line, str(tmp_path / "cut"), "--processes", "2"])
    parts = tmp_path / "cut" / "certificates"
    while len(list(parts.rglob("*.parquet"))) < 2:
        assert command.poll() is None, "it ended before it was killed"
        time.sleep(0.01)
    command.send_signal(signal.SIGKILL)
    command.wait()
    subprocess.run([*line, str(tmp_path / "cut")], check=True)
    plan = CertifyConfig(SamplingPlan((0.0,), budget=512), batch_size=2)
    smoothed, data = smoothed_of(model, 0.25), load_data("shapes", "test").take(12)
    certify_into(tmp_path / "whole", model.origin.place.split("/")[-2], smoothed, data, plan)
    written = sorted((tmp_path / "whole" / "records").iterdir())
    assert len(written) == 2
    for path in written:
        assert (tmp_path / "cut" / "records" / path.name).read_bytes() == path.read_bytes()


def test_no_engine_is_imported_where_none_is_asked_for() -> None:
    code = (
        "import sys, alp, alp.cli.evaluate, alp.cli.gather\n"
        "from alp.executors import EXECUTORS\n"
        "[EXECUTORS[name]() for name in EXECUTORS]\n"
        "sys.exit(str({'torch', 'dask', 'distributed', 'submitit', 'ray'} & {*sys.modules} or ''))"
    )
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert told.stderr.strip() == ""


@pytest.mark.parametrize("name", ["dask", "submitit", "ray"])
def test_an_engine_that_is_not_installed_is_named(name: str, monkeypatch) -> None:
    monkeypatch.setattr(f"alp.executors.{name}.find_spec", lambda module: None)
    with (
        pytest.raises(alp.AlpError, match=r"pip install -e \"\.\["),
        EXECUTORS[name]().start(1, 1),
    ):
        pass
