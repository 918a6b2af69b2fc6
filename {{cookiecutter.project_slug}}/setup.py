"""The package that travels to the cloud: `trainer`, and nothing else. Reads no other file."""

from setuptools import find_packages, setup

VERSION = "0.1.0"

# TensorFlow is not here: the machine that trains brings its own, and a second copy, or another version, would
# break it. Everything else that trainer/ imports is: floors, not pins, so that what is there already can stay.
REQUIRED = ["numpy>=1.26", "pyarrow>=16", "tensorboard>=2.17"]

EXTRAS = {
    # What the cloud's machine brings. Its wheel without GPU code exists for Linux on x86 only.
    "local": [
        "tensorflow-cpu==2.21.*; sys_platform == 'linux' and platform_machine == 'x86_64'",
        "tensorflow==2.21.*; sys_platform != 'linux' or platform_machine != 'x86_64'",
    ],
    # What trainer.prepare needs. Training never does.
    "prepare": ["duckdb>=1.4", "sqlglot>=26"],
}

setup(
    # The ending keeps the name apart from any published package, such as a project called numpy.
    name="{{ cookiecutter.project_slug }}-trainer",
    version=VERSION,
    packages=find_packages(include=["trainer", "trainer.*"]),
    include_package_data=True,
    python_requires=">=3.10",
    install_requires=REQUIRED,
    extras_require=EXTRAS,
)
