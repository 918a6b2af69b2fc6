"""What is reported when uv cannot install the requirements: its output, and the cause and the remedy in the message."""

import pytest
from launcher.packaging.distributions import install_error

NONE = "error: No solution found when resolving dependencies\n  cause: Because "
USED = ", we can conclude that sample-trainer==0.1.0 cannot be used.\n         And because only sample-trainer[local]==0.1.0 is available and you require sample-trainer[local], we can conclude that your requirements are unsatisfiable.\n"
NEEDS = "sample-trainer==0.1.0 depends on "
FETCH = "error: Request failed after 3 retries in 9.8s\n  cause: Failed to fetch: https://pypi.org/simple/numpy/\n"
TREE = (
    "  \u00d7 No solution found when resolving dependencies:\n  ╰─▶ Because numpi was not found in the package registry and sample-trainer[local]==0.1.0\n      depends on numpi"
    + USED
)


@pytest.mark.parametrize(
    ("output", "cause", "remedy"),
    [
        (f"{NONE}there is no version of numpy==99.1 and {NEEDS}numpy==99.1{USED}", "no version of numpy==99.1", "pypi.org/project/numpy/"),
        (f"{NONE}only gcsfs<=3 is available and {NEEDS}gcsfs>=99{USED}", "only gcsfs<=3 is available and setup.py requires gcsfs>=99;", "a version of gcsfs"),
        (f"{NONE}tensorlow was not found in the package registry and {NEEDS}tensorlow>=2{USED}", "tensorlow was not found", "write tensorflow"),
        (TREE, "numpi was not found in the package registry", "write numpy"),
        (f"{NONE}zz-zz was not found in the package registry and {NEEDS}zz-zz{USED}", "zz-zz was not found", "; correct the name in setup.py"),
        (f"{NONE}{NEEDS}numpy>=1.26 and numpy<1.26{USED}", "setup.py requires numpy>=1.26 and numpy<1.26;", "widen one"),
        (f"{NONE}tf>=2,<=2.21.0 depends on protobuf>=6 and {NEEDS}tf{{platform_machine == 'x86_64'}}==2.21.*, we can conclude that a depends on protobuf>=6.\n And because {NEEDS}protobuf==3.20.*{USED}", "tf>=2,<=2.21.0 depends on protobuf>=6 and setup.py requires tf==2.21.*; setup.py requires protobuf==3.20.*;", "widen one"),
        (f"{NONE}torch==1.0.0 has no wheels with a matching Python ABI tag (e.g., `cp311`) and {NEEDS}torch==1.0.0{USED}\nhint: You require CPython 3.11", "torch==1.0.0 has no wheels with a matching Python ABI tag and", "a version of torch with a wheel for Python 3."),
        (f"{NONE}pywin32>=303 has no wheels with a matching platform tag (e.g., `manylinux_2_36_x86_64`) and {NEEDS}pywin32{USED}", "pywin32>=303 has no wheels", "remove pywin32 from setup.py"),
        (f"{NONE}the current Python version (3.11.7) does not satisfy Python>=3.12 and zz==2 depends on Python>=3.12, we can conclude that zz==2 cannot be used.\n And because {NEEDS}zz==2{USED}", "(3.11.7) does not satisfy Python>=3.12", "a version of zz for Python 3."),
        (f"{NONE}the current Python version (3.11.7) does not satisfy Python>=3.14 and sample-trainer==0.1.0 depends on Python>=3.14{USED}", "Python>=3.14", "lower python_requires"),
        (f"{NONE}cv2 was not found in the package registry and {NEEDS}cv2{USED}", "cv2 was not found", "write opencv-python-headless"),
        (f"{NONE}{NEEDS}numpy==2.2.* and numpy!=2.2.*, which are incompatible{USED}", "which are incompatible", "widen one"),
        ("error: Failed to build `uwsgi==2.0.21`\n  cause: The build backend returned an error", "uwsgi==2.0.21 has no wheel for Python 3.", "require a version with a wheel"),
        ("  \u00d7 Failed to build `sklearn==0.0`\n\nhint: `sklearn` is often confused for `scikit-learn`", "sklearn is not the name", "write scikit-learn"),
        ("error: Distribution not found at: file:///home/me/foo", "no package at file:///home/me/foo", "move its code below trainer/"),
        (f"{FETCH}  cause: error sending request for url (https://pypi.org/simple/numpy/)\n  cause: dns error", "no response from https://pypi.org/simple/numpy/", "check the network"),
        (f"{FETCH}  Caused by: HTTP status client error (401 Unauthorized) for url (https://me.example/numpy/)", "https://me.example/numpy/ responds with status 401", "credentials"),
        ("error: Failed to download `numpy==1.26.4`\n  cause: Hash mismatch for `numpy==1.26.4`", "numpy==1.26.4 is not the file", "nox -s lock"),
        ("error: something new", "uv fails", "which -v shows"),
    ],
)  # fmt: skip
def test_the_cause_of_a_failed_installation_is_reported(
    output: str, cause: str, remedy: str
) -> None:
    message = str(install_error(output, "training environment"))
    assert message.startswith("the training environment cannot be built: ")
    assert cause in message and remedy in message.partition("; expected ")[2]
    assert ("network" in message) == ("dns" in output)
    assert "sample-trainer" not in message
