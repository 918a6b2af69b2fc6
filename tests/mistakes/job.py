"""Mistakes in job.toml: arguments, machines, buckets."""

from tests.mistakes.changes import (
    JOB,
    Mistake,
    Plant,
    chief,
    key,
    last,
    swap,
    tier,
    under,
)

IMAGES = "us-docker.pkg.dev/vertex-ai/training"
PARAMETER_SERVER = '[tiers.CUSTOM.parameter_server]\nmachine = "n1-standard-4"'
PODS = '[tiers.POD.chief]\nmachine = "ct5lp-hightpu-4t"\ntpu_topology = "4x4"'
TWO_TPUS = '[tiers.POD.chief]\nmachine = "ct5lp-hightpu-4t"\ntpu_topology = "2x2"\nreplicas = 2'
MANY = "\n".join(f'V{number} = ""' for number in range(101))

WHAT = {
    9: "an argument that `task.py` does not know, or of the wrong type",
    10: "a study parameter that is no flag, or has a value that its flag refuses",
    12: "too many arguments or variables; a label or name that Google refuses",
    13: "a region that offers no training",
    14: "a machine or accelerator that cannot be had so",
    15: "an accelerator that has ended",
    16: "TPU, spot and flex-start in a way they are not offered",
    17: "an image past its end, or of the wrong kind",
    18: "a tier or duration that is none",
    19: "a bucket's name that Google refuses",
    20: "the bucket is missing, or not yours to read or write",
    21: "the bucket is multi-region",
    22: "the bucket lies in another region",
    23: "a path that only this machine has",
}

PLANTS: tuple[Plant, ...] = (
    Plant("9", JOB, key("epochs", "3\nepoch_count = 3"), "trainer.task has no flag --epoch-count"),
    Plant("9 spelling", JOB, swap("learning_rate =", "learning_rat3 ="), "write learning_rate"),
    Plant("9 type", JOB, key("learning_rate", '"fast"'), "expected a finite number >= 0"),
    Plant("9 whole", JOB, key("epochs", "1.5"), "expected an integer >= "),
    Plant("9 false", JOB, key("epochs", "3\nshufle = false"), "has no flag --shufle"),
    Plant("10", JOB, swap("parameters.learning_rate]", "parameters.learning_rat3]"), "write learning_rate"),
    Plant("10 value", JOB, swap('["64,32", ', '["64;32", '), "expected an integer >= "),
    Plant("10 bound", JOB, swap("max = 0.5", "max = 1.5"), "expected a number >= 0 and < 1"),
    Plant("10 scale", JOB, swap("min = 0.0005", "min = 0.0"), "values above 0 for a logarithm"),
    Plant("10 type", JOB, swap('type = "categorical"', 'type = "category"'), "one of double, integer"),
    Plant("10 condition", JOB, swap("max = 0.5", "max = 0.5\nwhen = { ensembel = [1] }"), "another parameter of the study"),
    Plant("12", JOB, under("arguments", f'hidden_units = "{"8," * 60_000}8"'), "at most 100,000"),
    Plant("12 entries", JOB, under("environment", MANY), "101 entries"),
    Plant("12 label", JOB, under("labels", 'Team = "a"'), "lower-case letters"),
    Plant("12 name", JOB, key("name", f'"{"n" * 129}"'), "at most 128"),
    Plant("13", JOB, key("region", '"us-centrall"'), "write us-central1"),
    Plant("13 zone", JOB, key("region", '"us-central1-a"'), "write us-central1"),
    Plant("13 accelerator", JOB, tier("L4", key("region", '"asia-east1"')), "asia-south1"),
    Plant("14", JOB, chief('machine = "n1-highcpu-8"'), "does not accept the machine"),
    Plant("14 count", JOB, chief('machine = "n1-standard-8"\naccelerator = "NVIDIA_TESLA_T4"\naccelerator_count = 3'), "1 or 2 or 4"),
    Plant("14 family", JOB, chief('machine = "e2-standard-8"\naccelerator = "NVIDIA_TESLA_T4"\naccelerator_count = 1'), "n1-standard-4"),
    Plant("15", JOB, chief('machine = "n1-standard-8"\naccelerator = "NVIDIA_TESLA_K80"\naccelerator_count = 1'), "write NVIDIA_TESLA_T4"),
    Plant("15 spelling", JOB, chief('machine = "n1-standard-8"\naccelerator = "nvidia-tesla-p100"\naccelerator_count = 1'), "write NVIDIA_TESLA_V100"),
    Plant("16", JOB, tier("POD", last(TWO_TPUS)), "one pool of one replica"),
    Plant("16 spot", JOB, tier("POD", lambda before: key("strategy", '"spot"')(before) + PODS), "a TPU of one host"),
    Plant("16 flex", JOB, key("strategy", '"flex_start"'), "none of its accelerators"),
    Plant("16 servers", JOB, tier("CUSTOM", last(PARAMETER_SERVER)), "all-reduce"),
    Plant("16 reserved", JOB, key("reservation", '"mine"'), "projects/PROJECT/zones"),
    Plant("17", JOB, key("kind", '"stok"'), "write stock"),
    Plant("17 tpu", JOB, tier("BASIC_TPU", key("kind", '"stock"')), "an image of your own"),
    Plant("18", JOB, key("timeout", '"1 week"'), "an integer with s, m, h or d"),
    Plant("18 zero", JOB, key("timeout", '"0h"'), "more than 0"),
    Plant("18 long", JOB, key("timeout", '"8d"'), "at most 7d"),
    Plant("18 tier", JOB, key("scale_tier", '"BASIK"'), "write BASIC"),
    Plant("19", JOB, key("bucket", '"goog-data"'), "start with goog"),
    Plant("19 word", JOB, key("bucket", '"my-google-data"'), "without the word google"),
    Plant("19 address", JOB, key("bucket", '"192.168.5.4"'), "IP address"),
    Plant("19 capitals", JOB, key("bucket", '"My-Data"'), "lower-case"),
    Plant("19 scheme", JOB, key("bucket", '"gs://my-data"'), "without gs://"),
    Plant("19 length", JOB, key("bucket", f'"{"b" * 64}"'), "3 to 63"),
    Plant("23", JOB, under("environment", 'TABLE = "/home/me/t.csv"'), "a gs:// address"),
    Plant("23 relative", JOB, under("environment", 'TABLE = "data/adult.data.gz"'), "a gs:// address"),
)  # fmt: skip

RUNS: tuple[Mistake, ...] = ()
