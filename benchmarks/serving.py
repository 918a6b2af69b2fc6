"""Serving over HTTP: our server against Keras' own export behind a plain ASGI server."""

import shlex

from benchmarks.measure import alternate, run
from benchmarks.targets import Row, reported
from benchmarks.workbench import PEERS, SCRIPTS, Workbench

SERVE = "serve"


def serving(bench: Workbench) -> list[Row]:
    """Predictions over HTTP: rate, latency, start and memory of the servers."""
    table = bench.table(30_000, 16_000)
    bench.train(table, bench.prepared(table), epochs=1)()
    bench.peer("keras_serving", "keras", table, epochs=1)()
    outputs, load = bench.folder / "outputs", SCRIPTS / "ours" / "load.py"
    model, project = outputs / "ours" / "model", bench.baked(table)
    python = bench.ours(SERVE)
    ours = ["env", "-C", project, python, "-m", "trainer.serve", "--model", model]
    ours += ["--port", "PORT", "--quiet"]
    variables = [f"MODEL={outputs / 'keras_serving'}", "LISTEN_ON=PORT"]
    peer = ["env", "-C", PEERS, *variables, bench.environment("keras"), "plain_asgi.py"]
    rest = ["--table", table.test, "--schema", table.schema]
    rest += ["--seconds", "1" if bench.quick else "5"]
    samples = alternate(
        {
            name: lambda server=server: run(  # type: ignore[misc]
                [python, load, "--server", shlex.join(map(str, server)), *rest], outputs
            )
            for name, server in {"ours": ours, "plain ASGI": peer}.items()
        },
        bench.rounds,
    )
    rows = []
    for key in samples["ours"][0].report:
        mine, other = (reported(taken, key) for taken in samples.values())
        ratio = mine.median / other.median if key.startswith("rate") else other.median / mine.median
        unit = "1/s" if key.startswith("rate") else "ms" if "_ms" in key else ""
        rows += [
            Row("serving", f"ours, {key}", unit, mine),
            Row("serving", f"plain ASGI, {key}", unit, other, ratio),
        ]
    return rows
