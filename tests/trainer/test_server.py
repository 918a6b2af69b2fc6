"""The server: requests, their errors, and what a client sees of several workers."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format, struct_pb2
from recorder import untrained
from trainer import predict, serve
from trainer.data import files
from trainer.data.schema import Schema
from trainer.data.statistics import Statistics
from trainer.endpoint import Endpoint
from trainer.run.errors import UserError
from trainer.server.application import CLIENT_CLOSED_REQUEST, Application
from trainer.server.instances import MOST_IGNORED, Instances
from trainer.server.options import ServerOptions
from trainer.server.page import page
from trainer.serving import SCORES

TOLERANCE = 1e-6
MOST_BYTES = 100_000


@pytest.fixture(scope="module")
def exported(
    schema: Schema, statistics: Statistics, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return untrained(schema, statistics, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def application(exported: Path) -> Application:
    options = ServerOptions(str(exported), "/predict", "/health", MOST_BYTES, timeout_seconds=5)
    application = Application(options)
    application.start()
    return application


@pytest.fixture
def examples(prepared: Path) -> list[dict[str, Any]]:
    text = (prepared / files.EXAMPLES).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


async def sent(
    application: Application, body: bytes, path: str = "/predict", method: str = "POST"
) -> tuple[int, bytes]:
    """Return status and content of the response to a request whose body comes in two parts."""
    halves = [body[: len(body) // 2], body[len(body) // 2 :]]
    parts = [{"type": "http.request", "body": half, "more_body": True} for half in halves]
    parts[-1]["more_body"] = False
    responses: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not parts:  # the client waits
            await asyncio.sleep(60)
        return parts.pop(0)

    async def send(message: dict[str, Any]) -> None:
        responses.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    await application(scope, receive, send)
    return responses[0]["status"], responses[1]["body"]


def predictions(application: Application, instances: list[Any]) -> list[dict[str, Any]]:
    body = json.dumps({"instances": instances}).encode()
    status, content = asyncio.run(sent(application, body))
    assert status == 200, content
    found: list[dict[str, Any]] = json.loads(content)["predictions"]
    return found


def assert_same(
    found: list[dict[str, Any]], expected: list[dict[str, Any]], schema: Schema
) -> None:
    """Assert that the scores are equal, relative to the largest if that is above 1."""
    one, other = (
        np.array([each[SCORES[schema.task]] for each in rows]) for rows in (found, expected)
    )
    scale = max(1.0, float(np.abs(other).max()))
    np.testing.assert_allclose(one / scale, other / scale, rtol=0, atol=TOLERANCE)


def predicted(prepared: Path, *source: str) -> list[dict[str, Any]]:
    """Return what predict writes to a file for the examples, by a model or an endpoint."""
    target = prepared / "predicted.jsonl"
    arguments = ["--input", str(prepared / files.EXAMPLES), "--output", str(target)]
    assert predict.main([*source, *arguments]) == 0
    return [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]


def test_predictions_are_those_of_predict(
    application: Application,
    exported: Path,
    prepared: Path,
    examples: list[dict[str, Any]],
    schema: Schema,
) -> None:
    expected = predicted(prepared, "--model", str(exported))
    found = predictions(application, examples)
    assert_same(found, expected, schema)
    assert [each.get("label") for each in found] == [each.get("label") for each in expected]


def test_forms_of_a_cell_that_transports_make_have_one_prediction(
    application: Application, examples: list[dict[str, Any]], schema: Schema
) -> None:
    expected = predictions(application, examples)
    through_value = [json_format.ParseDict(row, struct_pb2.Struct()) for row in examples]
    forms = [
        [json_format.MessageToDict(each) for each in through_value],
        [{name: as_text(row[name], schema) for name in row} for row in examples],
        [{name: value for name, value in row.items() if value is not None} for row in examples],
        [{name: "" if value is None else value for name, value in row.items()} for row in examples],
        [{**row, "of no use": 1} for row in examples],
    ]
    for instances in forms:
        assert_same(predictions(application, instances), expected, schema)


def as_text(value: Any, schema: Schema) -> str:
    return "" if value is None else str(value).replace(".", schema.decimal)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[" * 50_000, "the body is not JSON"),
        (b'{"instances": [{"x": NaN}]}', "NaN is no value of JSON; a missing number is null"),
        (b"[]", "the body has no instances"),
        (b'{"instances": {}}', "the body has no instances"),
        (b'{"instances": []}', "the body has no instances; expected"),
        (b'{"instances": [{}, 3]}', "instance 1 has no column"),
        (b'{"instances": [[1, 2]]}', "instance 1 is [1, 2]; expected an object"),
        (b'{"instances": [{"unheard of": 3}]}', "'unheard of': unknown"),
        (b'{"instances": [{"COLUMN": [1]}]}', "is [1]; expected text, a number"),
        (b'{"instances": [{"COLUMN": 9007199254740993}]}', "at most 2^53; send it as text"),
    ],
)
def test_what_is_no_request_is_refused(
    application: Application, schema: Schema, body: bytes, message: str
) -> None:
    name = schema.used[0]
    status, content = asyncio.run(sent(application, body.replace(b"COLUMN", name.encode())))
    assert status == 400
    assert message in json.loads(content)["error"]


def test_an_invalid_cell_is_named_and_other_requests_are_predicted(
    application: Application, examples: list[dict[str, Any]], schema: Schema
) -> None:
    if not schema.of_kind("numeric"):
        pytest.skip("no column whose cells can be invalid")
    name = schema.of_kind("numeric")[0]
    bodies = [json.dumps({"instances": [row]}).encode() for row in examples]
    invalid = json.dumps({"instances": [examples[0], {**examples[0], name: "x y"}]}).encode()

    async def together() -> list[tuple[int, bytes]]:
        asked = [sent(application, body) for body in [*bodies, invalid]]
        return [*await asyncio.gather(*asked)]

    *others, refused = asyncio.run(together())
    error = json.loads(refused[1])
    assert refused[0] == 400 and error["instances"] == [2]
    assert error["error"].startswith(f"instance 2, column {name!r} is 'x y'; expected a number")
    found = [json.loads(content)["predictions"][0] for _, content in others]
    assert_same(found, predictions(application, examples), schema)


def test_a_request_that_is_too_large_or_too_slow_is_refused(
    application: Application, examples: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, content = asyncio.run(sent(application, b"x" * (MOST_BYTES + 1)))
    assert (status, b"100,000 bytes" in content) == (413, True)

    async def never(*_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(application, "predictions", never)
    options = ServerOptions("", "/predict", "/health", MOST_BYTES, timeout_seconds=0.05)
    monkeypatch.setattr(application, "options", options)
    status, content = asyncio.run(sent(application, json.dumps({"instances": examples}).encode()))
    assert (status, b"0.05 s" in content) == (504, True)


def test_an_error_of_ours_is_not_shown_to_clients(
    application: Application, examples: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(application.batches, "compute", fails)
    with pytest.raises(RuntimeError):  # uvicorn writes it to its log, and returns status 500 alone
        asyncio.run(sent(application, json.dumps({"instances": examples}).encode()))


def test_a_request_whose_client_leaves_is_given_up(
    application: Application, examples: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(application.batches, "predict", never)
    body = {"type": "http.request", "body": json.dumps({"instances": examples}).encode()}
    messages: list[dict[str, Any]] = [body, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    status, _ = asyncio.run(application.predicted({"headers": []}, receive))
    assert status == CLIENT_CLOSED_REQUEST


def test_names_that_clients_invent_are_escaped_and_few_are_kept(
    application: Application, examples: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = {**examples[0], **{f"\n\x1b[31m{number}": 1 for number in range(1_000)}}
    status, _ = asyncio.run(sent(application, json.dumps({"instances": [hostile]}).encode()))
    assert status == 200 and len(application.predictor.instances.ignored) <= MOST_IGNORED
    assert "\x1b" not in capsys.readouterr().err
    application.predictor.instances.ignored.clear()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_model_that_cannot_be_loaded_ends_the_server_with_one_line(
    exported: Path, tmp_path: Path, workers: str
) -> None:
    shutil.copytree(exported, tmp_path / "model")
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"\xff" * 9)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "trainer.serve", "--workers", workers, "--port", port]
    done = subprocess.run(
        [*command, "--model", str(tmp_path / "model")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    first, *others = done.stderr.splitlines()
    assert done.returncode == 2 and first.startswith("serve "), done.stderr
    assert (
        len(others) == 1 and others[0].startswith("error: ") and "cannot be loaded (" in others[0]
    )


def test_the_page_escapes_names_and_cells() -> None:
    hostile = '</script><b>"'
    schema: Any = type("Schema", (), {"columns": {hostile: "categorical"}})
    options = ServerOptions("", f"/{hostile}", "/health", MOST_BYTES, timeout_seconds=5)
    text = page(Instances(schema, [hostile]), {hostile: hostile}, options)
    assert "<b>" not in text and text.count("</script>") == 1 and f'value="{hostile}"' not in text


def test_paths_that_are_not_there_are_refused_with_those_that_are(
    application: Application,
) -> None:
    status, content = asyncio.run(sent(application, b"", "/", "GET"))
    assert status == 200 and b"<form>" in content
    status, content = asyncio.run(sent(application, b"", "/predict", "GET"))
    assert status == 404 and b"POST /predict, GET /health, /metrics or /" in content
    assert asyncio.run(sent(application, b"", "/health", "GET"))[0] == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "--port is 99999; expected more than 0, at most 65535"),
        (["--workers", "0"], "--workers is 0; expected more than 0"),
        (["--model", "nowhere"], "nowhere holds no model"),
        ([], "--model holds no model"),
    ],
)
def test_what_cannot_be_served_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("[", r"\[")):
        serve.main(arguments)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_refused(host: str) -> None:
    if ":" in host and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} of {host} cannot be used .Address al"):
            serve.check_port(host, port)
    serve.check_port(host, port)


@pytest.fixture(scope="module")
def address(exported: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A server of two workers, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "trainer.serve", "--model", str(exported)]
    command += ["--port", str(port), "--workers", "2", "--max-bytes", str(MOST_BYTES)]
    server = subprocess.Popen(command, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    wait_until_ready(url)
    yield url, server
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=90):
            return
        time.sleep(0.1)
    raise AssertionError("the server is not ready after 90 s")


def test_predict_asks_an_endpoint(
    address: tuple[str, Any], exported: Path, prepared: Path, schema: Schema
) -> None:
    expected = predicted(prepared, "--model", str(exported))
    found = predicted(prepared, "--url", f"{address[0]}/predict")
    assert len(found) == len(expected)
    assert_same(found, expected, schema)


def test_what_an_endpoint_refuses_is_one_line(
    address: tuple[str, Any], schema: Schema, tmp_path: Path
) -> None:
    url = address[0]
    many = [dict.fromkeys(schema.used, "")] * 2_000  # in several requests of at most MOST_BYTES
    with pytest.raises(UserError, match="refuses rows, rows 1 to .*too large"):
        Endpoint(f"{url}/predict").predictions(many, "rows", 1)
    with pytest.raises(UserError, match="returns HTTP 404: there is no POST /nothing"):
        Endpoint(f"{url}/nothing").predictions(many[:1], "rows", 1)
    with pytest.raises(UserError, match="--url is 'file:///etc/passwd'; expected the address"):
        Endpoint("file:///etc/passwd")
    with pytest.raises(UserError, match="cannot be reached"):
        Endpoint("http://127.0.0.1:9/predict").predictions(many[:1], "rows", 1)


def test_slow_clients_hold_up_nobody(
    address: tuple[str, Any], examples: list[dict[str, Any]]
) -> None:
    host, port = address[0].removeprefix("http://").split(":")
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"
    with contextlib.ExitStack() as open_sockets:
        for _ in range(100):
            client = open_sockets.enter_context(socket.create_connection((host, int(port))))
            client.sendall(head)
        assert len(Endpoint(f"{address[0]}/predict").predictions(examples, "rows", 1)) == len(
            examples
        )


def test_a_worker_that_is_killed_is_replaced_and_the_server_ends_at_a_signal(
    address: tuple[str, "subprocess.Popen[bytes]"], examples: list[dict[str, Any]]
) -> None:
    url, server = address
    counted = urllib.request.urlopen(f"{url}/metrics").read()
    assert b'prediction_requests_total{status="200"}' in counted
    workers = children(server.pid)
    os.kill(workers[-1], signal.SIGKILL)
    for _ in range(20):
        wait_until_ready(url)
        assert len(Endpoint(f"{url}/predict").predictions(examples, "rows", 1)) == len(examples)
    server.send_signal(signal.SIGTERM)
    server.wait(timeout=30)
    assert not children(server.pid)
    with pytest.raises(UserError, match="cannot be reached"):
        Endpoint(f"{url}/predict").predictions(examples, "rows", 1)


def children(parent: int) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False
    )
    return sorted(map(int, found.stdout.split()))
