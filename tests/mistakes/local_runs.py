"""Mistakes that show when a job or a study runs on this machine."""

from textwrap import indent

from tests.mistakes.changes import (
    LAYERS,
    LOOP,
    MODEL,
    Mistake,
    Plant,
    last,
    local,
    swap,
)
from tests.sessions import Change

MONITOR = "trainer/training/monitor.py"
SHORT_STUDY = ("--local", "--trials", "1", "--max-steps", "20")
WORDS = 'def words():\n    with open("trainer/words.txt") as file:\n        return file.read()'

BEFORE_THE_END = "        self.trainer.check_same_weights()\n"


def at_the_end(code: str) -> Change:
    """Return a change that adds lines to the end of training."""
    return swap(BEFORE_THE_END, BEFORE_THE_END + indent(code, 8 * " ") + "\n")


def reported(value: str) -> Change:
    """Return a change that reports another value of the metric to a study."""
    return swap(
        "report_to_tuning(self.metric, metrics[self.metric]",
        f"report_to_tuning(self.metric, {value}",
    )


WHAT = {
    4: "a data file that the code opens does not travel",
    26: "output written elsewhere than the job's output",
    76: "a file read that only this machine has",
    77: "the study's metric is no finite number",
}

PLANTS: tuple[Plant, ...] = ()

RUNS: tuple[Mistake, ...] = (
    local("4", LAYERS, last(WORDS), "words.txt"),
    local("26", LOOP, at_the_end('open("weights.bin", "w").close()'), "wrote 'weights.bin' into its working folder"),
    local("26 below a path of this machine", LOOP, at_the_end('import pathlib\npathlib.Path("/var/tmp/cmle-weights").mkdir(exist_ok=True)'), "training wrote /var/tmp/cmle-weights; expected all outputs below"),
    local("26 moved out of the working folder", LOOP, at_the_end('import shutil\nopen("x", "w").close()\nshutil.move("x", "/var/tmp/cmle-x")'), "training wrote /var/tmp/cmle-x; expected all outputs below"),
    local("76", LOOP, at_the_end('open("/var/log/dpkg.log").close()'), "training read /var/log/dpkg.log, which a machine in the cloud does not have"),
    local("76 with numpy", LOOP, at_the_end('import numpy\nnumpy.genfromtxt("/var/log/dpkg.log", dtype=str, delimiter="\\0")'), "training read /var/log/dpkg.log, which"),
    local("76 in the home folder", LOOP, at_the_end('import pathlib\n(pathlib.Path.home() / "notes.txt").read_text()'), "training looked for ~/notes.txt; expected nothing in the home folder"),
    Mistake("77", "tune", SHORT_STUDY, MONITOR, reported("float('nan')"), "auc is 'nan' at step 20"),
    Mistake("77 infinite", "tune", SHORT_STUDY, MONITOR, reported("1 / 1e-320"), "auc is 'inf' at step 20"),
    Mistake("77 a text", "tune", SHORT_STUDY, MONITOR, reported("'high'"), "auc is 'high' at step 20"),
    Mistake("77 several numbers", "tune", SHORT_STUDY, MONITOR, reported("[0.5, 0.6]"), "auc is '[0.5, 0.6]' at step 20"),
    local("26 the model itself", MODEL, swap("model, schema, statistics, model_dir, replicas", 'model, schema, statistics, Path("model"), replicas'), "training has exported no model"),
)  # fmt: skip
