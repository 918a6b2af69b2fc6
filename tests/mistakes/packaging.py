"""Mistakes in what is packed, uploaded and installed."""

from tests.mistakes.changes import SETUP, Mistake, Plant, last, swap

MANIFEST = "MANIFEST.in"
TRAINER_ONLY = 'include=["trainer", "trainer.*"]'

WHAT: dict[int, str] = {
    47: "the launcher, tables, outputs, hidden files or keys in the source distribution",
}

PLANTS: tuple[Plant, ...] = (
    Plant("47", SETUP, swap(TRAINER_ONLY, ""), "holds launcher/__init__.py (and "),
    Plant("47 other", SETUP, swap(TRAINER_ONLY, 'exclude=["tests"]'), "which stays on this machine"),
    Plant("47 table", MANIFEST, last("include data/adult.test.gz"), "which a job reads from the bucket"),
    Plant("47 some", MANIFEST, last("recursive-include data *.gz"), "holds data/adult.data.gz (and 1 more)"),
    Plant("47 job", MANIFEST, last("include job.toml"), "holds job.toml, which stays"),
    Plant("47 hidden", MANIFEST, last("include .gitignore"), "holds .gitignore, which is hidden"),
)  # fmt: skip

RUNS: tuple[Mistake, ...] = ()
