"""What a model needs of a server, read from its bytes."""

from pathlib import Path

import pytest
from launcher.checks.serving import op_warnings
from launcher.spec.catalog import google_cloud

NODE = b"\n\x01x\x12%c%s"
"""A NodeDef: a name of one letter, and an op."""


@pytest.mark.parametrize(
    ("ops", "newer"),
    [
        (("MatMul", "DecodeJpeg"), ""),
        (("MatMul", "DecodeWebP", "GlobalIterId"), "DecodeWebP, GlobalIterId"),
        (("DecodeWebPlus",), ""),
    ],
)
def test_ops_that_an_older_server_lacks_are_named(
    ops: tuple[str, ...], newer: str, tmp_path: Path
) -> None:
    nodes = b"".join(NODE % (len(op), op.encode()) for op in ops)
    (tmp_path / "saved_model.pb").write_bytes(nodes)
    found = [*map(str, op_warnings(tmp_path))]
    assert [newer] * bool(newer) == [
        each.partition(" needs ")[2].partition(", which")[0] for each in found
    ]
    assert all("TensorFlow 2.15 does not have; expected older ops" in each for each in found)


def test_names_are_short_enough_for_one_byte_of_length() -> None:
    assert all(len(op) < 128 for op in google_cloud()["newer_ops"]["ops"])
