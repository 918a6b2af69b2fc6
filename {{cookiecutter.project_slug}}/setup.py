"""The package that a job installs: `trainer`, and nothing else. Reads no other file."""

from setuptools import find_packages, setup

VERSION = "0.1.0"

# TensorFlow is left out: the training image provides it, and a second copy or another version would break it.
# Everything else that trainer/ imports is listed, as lower bounds, so that installed versions can stay.
REQUIRED = ["filelock>=3.30", "numpy>=1.26", "pyarrow>=16", "tensorboard>=2.17"]

EXTRAS: dict[str, list[str]] = {
    # What the training image provides. The wheel without GPU code exists for Linux on x86 only.
    "local": [
        "tensorflow-cpu==2.21.*; sys_platform == 'linux' and platform_machine == 'x86_64'",
        "tensorflow==2.21.*; sys_platform != 'linux' or platform_machine != 'x86_64'",
    ],
    # For trainer.prepare only; training does not need them. Before sqlglot 28, REGEXP_REPLACE replaced one match only.
    "prepare": ["duckdb>=1.5", "sqlglot>=28"],
}
# For trainer.prepare with --engine bigquery.
EXTRAS["bigquery"] = [
    *EXTRAS["prepare"],
    "google-cloud-bigquery>=3.25,<4",
    "google-cloud-storage>=2.18",
]
# For trainer.serve only, beside TensorFlow.
EXTRAS["serve"] = [
    *EXTRAS["local"],
    "google-cloud-storage>=2.18",
    "httptools>=0.6",
    "prometheus-client>=0.21",
    "uvicorn>=0.54",
    "uvloop>=0.20; sys_platform != 'win32'",
]
# For trainer.evaluate only, beside all of the above.
EXTRAS["evaluate"] = [*EXTRAS["local"], *EXTRAS["prepare"], "matplotlib>=3.9", "scikit-learn>=1.7"]

setup(
    # The suffix avoids the name of a published package, for a project called numpy for example.
    name="{{ cookiecutter.project_slug }}-trainer",
    version=VERSION,
    packages=find_packages(include=["trainer", "trainer.*"]),
    include_package_data=True,
    package_data={"trainer": ["evaluation/card_template.md"]},
    python_requires=">=3.10",
    install_requires=REQUIRED,
    extras_require=EXTRAS,
)
