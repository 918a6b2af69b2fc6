"""One runtime: what names its image or its TensorFlow says the same as launcher/spec/google_cloud.json."""

import re

import pytest
from launcher.spec.catalog import google_cloud

from tests.bakery import SOURCES

IMAGE = re.compile(r"tensorflow/tensorflow:[0-9][^\s\"'`,;]*")
PINNED = re.compile(r"tensorflow(?:-cpu)?==([0-9.]+)\.\*")
FILES = ("Dockerfile", "Dockerfile.gpu", "job.toml", "README.md", "setup.py")


@pytest.mark.parametrize("name", FILES)
def test_every_image_that_a_file_names_is_a_stock_image(name: str) -> None:
    stock = {each["image"] for each in google_cloud()["stock_images"].values()}
    assert set(IMAGE.findall((SOURCES / name).read_text(encoding="utf-8"))) <= stock


def test_setup_pins_the_tensorflow_of_the_stock_images() -> None:
    versions = {each["tensorflow"] for each in google_cloud()["stock_images"].values()}
    assert set(PINNED.findall((SOURCES / "setup.py").read_text(encoding="utf-8"))) == versions
