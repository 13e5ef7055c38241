"""Our layer for rpi-image-gen: the form that its documents ask for, and its own lint where it is at hand."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

IMAGE = Path(__file__).parents[3] / "firmware-config" / "image"
LAYER = IMAGE / "layer" / "pinhole.yaml"
CONFIGS = sorted((IMAGE / "config").glob("*.yaml"))
SHARED = IMAGE / "layer/pinhole.rootfs-overlay/etc/rpi-image-gen/slot-shared.d/pinhole.conf"
AB_BOARDS = {"rpi4", "rpi5", "rpi-cm4", "rpi-cm5"}
"""The boards that image-rota knows: the boot ROM must be able to try a second system."""


def header():
    """The fields of the METABEGIN block; a line with more blanks continues the one before."""
    block = re.search(r"^# METABEGIN\n(.*?)^# METAEND\n", LAYER.read_text(), re.DOTALL | re.MULTILINE)[1]
    fields = {}
    for line in block.splitlines():
        if found := re.match(r"# X-Env-([\w-]+): ?(.*)", line):
            name = found[1]
            assert name not in fields, f"{name} stands there twice"
            fields[name] = found[2]
        elif line != "#":
            assert line.startswith("#  "), line
            fields[name] += " " + line[3:]
    return fields


def body():
    return yaml.safe_load(LAYER.read_text().partition("# METAEND\n")[2])


def test_the_header_says_what_the_layer_is():
    fields = header()
    assert {"Layer-Name", "Layer-Desc", "Layer-Version", "Layer-Category", "VarPrefix"} <= set(fields)
    variables = {name.split("-")[1] for name in fields if name.startswith("Var-")}
    for variable in variables:
        for part in ("Desc", "Required", "Valid", "Set"):
            assert f"Var-{variable}-{part}" in fields


def test_the_hooks_use_declared_variables_alone():
    declared = {name.split("-")[1] for name in header() if name.startswith("Var-")}
    used = set(re.findall(r"IGconf_pinhole_(\w+)", "\n".join(body()["mmdebstrap"]["customize-hooks"])))
    assert used == declared


def test_the_hooks_are_shell():
    for hook in body()["mmdebstrap"]["customize-hooks"]:
        subprocess.run(["/bin/sh", "-n"], input=hook, text=True, check=True, timeout=10)


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_a_config_names_its_board_its_layout_and_our_layer(file):
    config = yaml.safe_load(file.read_text())
    assert config["layer"]["app"] == header()["Layer-Name"]
    is_ab = config["include"]["file"].endswith("-ab.yaml")
    assert (config["device"]["layer"] in AB_BOARDS) is is_ab
    assert "data_part_size" in config["image"] or not is_ab


def test_what_makes_a_device_itself_outlives_a_change_of_the_system():
    lines = SHARED.read_text().splitlines()
    assert lines[0] == "Version=1"
    paths = {line.removeprefix("Path=") for line in lines[1:]}
    assert {"/var/lib/pinhole", "/etc/pinhole", "/opt/pinhole"} <= paths


needs_their_tool = pytest.mark.skipif(
    "RPI_IMAGE_GEN" not in os.environ, reason="RPI_IMAGE_GEN=FOLDER: rpi-image-gen's own checks"
)


def ig(*words):
    """Their tool, which needs python3-debian and python3-yaml beside the Python that `env` finds."""
    root = Path(os.environ["RPI_IMAGE_GEN"])
    return subprocess.run(
        [root / "bin" / "ig", *words], check=True, timeout=60, capture_output=True, text=True,
        env=os.environ | {"IGROOT": str(root), "SRCROOT": str(IMAGE)},
    ).stdout  # fmt: skip


@needs_their_tool
def test_rpi_image_gen_lints_it():
    assert ig("metadata", "--lint", LAYER).strip() == "OK"


@needs_their_tool
@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_rpi_image_gen_reads_a_config_with_what_it_includes(file, tmp_path):
    theirs = Path(os.environ["RPI_IMAGE_GEN"]) / "config"
    ig("config", "--path", f"{file.parent}:{theirs}", file.name, "--write-to", tmp_path / "env")
    written = (tmp_path / "env").read_text()
    assert f'IGconf_layer_app="{header()["Layer-Name"]}"' in written
    assert "IGconf_layer_base=" in written
