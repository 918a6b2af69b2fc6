"""The local executor: the variables of a replica, and how a job of several replicas ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from launcher.console import Refused
from launcher.executors.local.cluster import TASK_TYPES, Replica, replicas_of, shrunk, variables_for
from launcher.executors.local.executor import REPLICA_PORTS, free_addresses
from launcher.subprocesses import signals_postponed

from tests.bakery import SOURCES
from tests.launcher.replicas import SLEEP, job_of, run, wait_for_end, wait_for_files
from tests.launcher.samples import write_files

ON_LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="Linux ends processes with their parent"
)
ROLE = "import json, os; role = json.loads(os.environ['TF_CONFIG'])['task']['type']; "


def test_only_a_job_of_several_replicas_has_tf_config() -> None:
    alone = variables_for(job_of("pass", 1), Replica(0, 0), {0: ["h:1"]})
    assert "TF_CONFIG" not in alone
    assert json.loads(alone["CLUSTER_SPEC"])["task"] == {"type": "workerpool0", "index": 0}
    assert alone["AIP_MODEL_DIR"] == "gs://b/n/jobs/run-1/model/"
    assert alone["OWN"] == "yes"


def test_tf_config_names_every_replica_but_the_evaluator() -> None:
    job = job_of("pass", 1, 2, 1, 1)
    addresses = {0: ["h:1"], 1: ["h:2", "h:3"], 2: ["h:4"], 3: ["h:5"]}
    config = json.loads(variables_for(job, Replica(1, 1), addresses)["TF_CONFIG"])
    assert config["cluster"] == {"chief": ["h:1"], "worker": ["h:2", "h:3"], "ps": ["h:4"]}
    assert config["task"] == {"type": "worker", "index": 1}
    evaluator = json.loads(variables_for(job, Replica(3, 0), addresses)["TF_CONFIG"])
    assert evaluator["task"] == {"type": TASK_TYPES[3], "index": 0}


def test_each_replica_has_a_port_that_no_connection_is_given_while_it_starts() -> None:
    addresses = free_addresses([Replica(0, 0), Replica(1, 0), Replica(1, 1)])
    assert [len(hosts) for hosts in addresses.values()] == [1, 2]
    ports = {int(host.partition(":")[2]) for hosts in addresses.values() for host in hosts}
    assert len(ports) == 3 and ports <= set(REPLICA_PORTS)
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if ephemeral.is_file():
        assert max(ports) < int(ephemeral.read_text("utf-8").split()[0])


def test_an_empty_pool_has_no_replica() -> None:
    assert replicas_of(job_of("pass", 1, 0, 1)) == [Replica(0, 0), Replica(2, 0)]


@pytest.mark.parametrize(
    ("counts", "expected"), [((1, 4), (1, 4)), ((1, 19), (1, 2)), ((1, 19, 11), (1, 2, 2))]
)
def test_a_large_job_keeps_its_shape(counts: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert len(replicas_of(shrunk(job_of("pass", *counts)))) == sum(expected)


def test_a_replica_gets_the_cloud_s_variables_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    code = "import json, os; json.dump(dict(os.environ), open(os.environ['GCS_ROOT'] + '/e', 'w'))"
    assert run(job_of(code, 1), tmp_path) == 0
    seen = json.loads((tmp_path / "e").read_text())
    assert seen["GCS_ROOT"] == str(tmp_path)
    assert not {"SOME_TOKEN", "PYTHONPATH", "TF_CONFIG"} & set(seen)


def test_a_replica_failure_stops_the_job_and_is_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = f"{ROLE}print('last words', flush=True) if role == 'worker' else None; os._exit(7) if role == 'worker' else None; {SLEEP}"
    begin = time.monotonic()
    assert run(job_of(code, 1, 1), tmp_path) == 1
    assert time.monotonic() - begin < 5
    said = capfd.readouterr().err
    assert "error: worker 0 ended with exit code 7" in said
    assert "worker 0 | last words" in said


def test_the_exit_of_the_primary_ends_the_other_replicas(tmp_path: Path) -> None:
    code = f"{ROLE}os._exit(0) if role == 'chief' else None; {SLEEP}"
    begin = time.monotonic()
    assert run(job_of(code, 1, 2), tmp_path) == 0
    assert time.monotonic() - begin < 5


def test_the_exit_code_of_the_primary_is_the_job_s(tmp_path: Path) -> None:
    assert (
        run(job_of(f"{ROLE}os._exit(3) if role == 'chief' else None; {SLEEP}", 1, 1), tmp_path) == 3
    )
    assert run(job_of("import os; os._exit(4)", 1), tmp_path) == 4


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os.kill(os.getpid(), 9)", "training was killed by signal 9; expected a run that ends"),
        ("os._exit(7)", "training ended with exit code 7; expected"),
        ("sys.exit(2)", ""),
    ],
)
def test_a_sudden_end_is_reported(
    code: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(job_of(f"import os, sys; {code}", 1), tmp_path)
    error = capfd.readouterr().err
    assert message in error and ("error: " in error) == bool(message)


@pytest.mark.minute
def test_a_preempted_job_restarts_and_ends(tmp_path: Path) -> None:
    code = "import os, time; p = os.environ['GCS_ROOT'] + '/starts'; open(p, 'a').write('x'); time.sleep(2)"
    assert run(job_of(code, 1), tmp_path, preempt_seconds=1.0) == 0
    assert (tmp_path / "starts").read_text() == "xx"


OUTSIDE = """
import os, pathlib, shutil, tempfile
home, here = pathlib.Path.home(), pathlib.Path({here!r})
{code}
"""


def used(code: str, folder: Path, mount: Path) -> str:
    """Return what is reported of a job of two replicas that runs this code, which knows `folder` as `here`."""
    with pytest.raises(Refused) as refused:
        run(job_of(OUTSIDE.format(here=str(folder), code=code), 1, 1), mount)
    return str(refused.value)


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("open('model.bin', 'w').close()", "wrote 'model.bin' into its working folder"),
        ("os.makedirs('out', exist_ok=True)", "wrote 'out' into its working folder"),
        ("(here / 'words.txt').read_text()", "read {here}/words.txt, which a machine"),
        ("os.open(here / 'words.txt', os.O_RDONLY)", "read {here}/words.txt, which"),
        ("shutil.copy(here / 'words.txt', home)", "read {here}/words.txt, which"),
        ("(here / 'new').write_text('x')", "wrote {here}/new; expected all outputs"),
        ("(here / 'model').mkdir(exist_ok=True)", "wrote {here}/model; expected"),
        ("(home / 'x').write_text('x'); shutil.move(home / 'x', here / 'y')", "wrote {here}/y;"),
    ],
)
def test_paths_that_only_this_machine_has_are_reported(
    code: str, part: str, tmp_path: Path
) -> None:
    folder, mount = tmp_path / "mine", tmp_path / "mount"
    write_files(tmp_path, {"mine/words.txt": "x", "mount/x": ""})
    said = used(code, folder, mount)
    assert part.format(here=folder) in said and "; expected " in said
    assert said.count("training ") == 1


def test_other_paths_are_not_reported(tmp_path: Path) -> None:
    code = """
with tempfile.NamedTemporaryFile() as file:
    shutil.copy(file.name, home / "copy")
mount = pathlib.Path(os.environ["GCS_ROOT"])
for path in (mount / "a", here / "scratch", home / "b"):
    path.write_text("x")
    path.read_text()
(here / "scratch").unlink()
(here / "absent").exists()
open("/etc/passwd").close()
open("/dev/null", "w").close()
import json.tool
"""
    folder, mount = tmp_path / "mine", tmp_path / "mount"
    write_files(tmp_path, {"mine/x": "", "mount/x": ""})
    assert run(job_of(OUTSIDE.format(here=str(folder), code=code), 1), mount) == 0


def test_what_a_failed_job_looked_for_in_its_home_is_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(job_of("open(__import__('os').path.expanduser('~/a/words.txt'))", 1), tmp_path)
    assert "error: training looked for ~/a/words.txt; expected nothing in" in capfd.readouterr().err


def test_a_replica_has_nothing_of_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TZ", "LC_ALL", "TF_CONFIG", "AIP_MODEL_DIR", "CLOUD_ML_TRIAL_ID", "KERAS_HOME"):
        monkeypatch.setenv(name, "of-the-shell")
    code = "import json, os, sys; json.dump([dict(os.environ), os.listdir(os.environ['HOME']), sys.stdin.read()], open(os.environ['GCS_ROOT'] + '/e', 'w'))"
    assert run(job_of(code, 1), tmp_path) == 0
    variables, home, given = json.loads((tmp_path / "e").read_text())
    assert "of-the-shell" not in variables.values()
    assert (home, given) == ([], "") and variables["HOME"] != os.environ["HOME"]


LAUNCHER = """
import json, sys
from pathlib import Path
from launcher.console import Console
from launcher.executors.local.executor import run_custom_job
from launcher.subprocesses import end_children_on_terminate, end_without_parent
end_children_on_terminate()
end_without_parent()
run_custom_job(json.load(open(sys.argv[1])), Path(sys.executable), Path(sys.argv[2]), Console())
"""
# As nox does, it starts a launcher and waits for it.
SESSION = """
import os, subprocess, sys
subprocess.run([sys.executable, "-B", "-c", *sys.argv[1:]], env={**os.environ, "LAUNCHER_PARENT": str(os.getpid())})
"""


def launch(
    job: dict[str, Any], folder: Path, programs: Sequence[str] = (LAUNCHER,)
) -> tuple["subprocess.Popen[bytes]", Path]:
    """Start a launcher that runs a job; return its process and the folder of the buckets."""
    path, buckets = folder / "job.json", folder / "buckets"
    path.write_text(json.dumps(job))
    buckets.mkdir()
    command = [sys.executable, "-B", "-c", *programs, str(path), str(buckets)]
    return subprocess.Popen(command, cwd=SOURCES, stderr=subprocess.DEVNULL), buckets


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize(
    ("programs", "number"),
    [
        ([LAUNCHER], signal.SIGTERM),
        pytest.param([LAUNCHER], signal.SIGKILL, marks=ON_LINUX),
        ([SESSION, LAUNCHER], signal.SIGKILL),
    ],
    ids=["asked", "killed", "session-killed"],
)
def test_a_launcher_that_ends_leaves_no_replica(
    programs: list[str], number: int, replicas: int, tmp_path: Path
) -> None:
    code = f"import os; open(os.environ['GCS_ROOT'] + '/' + str(os.getpid()), 'w').close(); {SLEEP}"
    first, buckets = launch(job_of(code, *[1] * replicas), tmp_path, programs)
    running = wait_for_files(buckets, replicas)
    first.send_signal(number)
    first.wait(60)
    assert not wait_for_end(running)


# A replica that needs, while it ends, what it has started: as training does, whose model another process loads.
NEEDS_ITS_CHILD = """
import os, pathlib, signal, subprocess, sys, time
mount = pathlib.Path(os.environ["GCS_ROOT"])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
def end(*_):
    time.sleep(0.5)
    (mount / "child").write_text("gone" if child.poll() else "runs")
    child.kill()
    os._exit(0)
signal.signal(signal.SIGTERM, end)
(mount / str(os.getpid())).touch()
time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_launcher_that_ends_signals_the_replicas_alone(replicas: int, tmp_path: Path) -> None:
    launcher, buckets = launch(job_of(NEEDS_ITS_CHILD, *[1] * replicas), tmp_path)
    wait_for_files(buckets, replicas)
    launcher.terminate()
    launcher.wait(60)
    assert (buckets / "child").read_text() == "runs"


def test_a_signal_is_postponed_until_the_new_child_is_registered() -> None:
    known = []
    # SIGINT is ignored in a process that a shell started in the background.
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), signals_postponed():
            signal.raise_signal(signal.SIGINT)
            known.append("child")
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert known == ["child"]
