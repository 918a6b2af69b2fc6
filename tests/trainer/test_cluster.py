"""The position of a process in its cluster, as TF_CONFIG gives it."""

import pytest
from recorder import config
from trainer.run.cluster import ClusterPosition, cluster_position
from trainer.run.errors import UserError


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ClusterPosition()),
        (config({}, {}), ClusterPosition()),
        (config({"chief": ["a"]}, {"type": "chief", "index": 0}), ClusterPosition()),
        (
            config({"chief": ["a"], "worker": ["b", "c"]}, {"type": "chief", "index": 0}),
            ClusterPosition(0, 3),
        ),
        (
            config({"master": ["a"], "worker": ["b", "c"]}, {"type": "worker", "index": 1}),
            ClusterPosition(2, 3, is_chief=False),
        ),
        (config({"worker": ["b", "c"]}, {"type": "worker", "index": 0}), ClusterPosition(0, 2)),
        (
            config({"chief": ["a"]}, {"type": "evaluator", "index": 0}),
            ClusterPosition(is_chief=False, is_evaluator=True),
        ),
    ],
)
def test_tf_config_gives_the_position(
    environment: dict[str, str], expected: ClusterPosition
) -> None:
    assert cluster_position(environment) == expected


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{"}, "TF_CONFIG cannot be read"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG cannot be read"),
        (config({"worker": ["a"]}, {"type": "worker", "index": 3}), "is not in its cluster"),
        (config({"chief": ["a"], "worker": 2}, {"type": "chief"}), "'worker' are not a list"),
        (config({"chief": ["a"], "worker": "bc"}, {"type": "chief"}), "'worker' are not a list"),
        (config({"chief": ["a"], "ps": ["b"]}, {"type": "chief"}), "1 parameter servers"),
    ],
)
def test_a_tf_config_that_cannot_be_right_is_refused(
    environment: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        cluster_position(environment)
