"""Every target by name, in the order of execution."""

from collections.abc import Callable

from benchmarks import targets
from benchmarks.accuracy import accuracy, closing
from benchmarks.creation import p6
from benchmarks.curves import grow
from benchmarks.growth import p3_memory, p5_memory
from benchmarks.real import r1
from benchmarks.replicas import p7
from benchmarks.serving import serving
from benchmarks.targets import Row
from benchmarks.workbench import Workbench

TARGETS: dict[str, Callable[[Workbench], list[Row]]] = dict(
    sorted(
        {
            **targets.TARGETS,
            "GROW": grow,
            "accuracy": accuracy,
            "closing": closing,
            "P3M": p3_memory,
            "P5M": p5_memory,
            "P6": p6,
            "P7": p7,
            "R1": r1,
            "serving": serving,
        }.items()
    )
)
