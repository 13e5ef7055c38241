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
    assert config["device"]["layer"].startswith("rpi")
    # Its root can be written: a host name, a claim, settings and releases are written there.
    assert config["image"]["layer"] == "image-rpios"


def test_the_network_is_what_the_roles_and_the_card_speak_to():
    base = LAYER.with_name("pinhole-base.yaml").read_text()
    assert " network-manager-iwd," in base
    assert "systemd-net-min" not in base, "networkd beside it"
    packages = body()["mmdebstrap"]["packages"]
    assert {"modemmanager", "cloud-init", "netplan.io", "python3-apt"} <= set(packages)


needs_their_tool = pytest.mark.skipif(
    "RPI_IMAGE_GEN" not in os.environ, reason="RPI_IMAGE_GEN=FOLDER: rpi-image-gen's own checks"
)


def ig(*words):
    """Their tool, which needs python3-debian and python3-yaml beside the Python that `env` finds."""
    root = Path(os.environ["RPI_IMAGE_GEN"])
    return subprocess.run(
        [root / "bin" / "ig", *words], check=True, timeout=60, capture_output=True, text=True,
        env=os.environ
        | {"IGROOT": str(root), "SRCROOT": str(IMAGE), "RPI_TEMPLATES": str(root / "templates/rpi")},
    ).stdout  # fmt: skip


@needs_their_tool
@pytest.mark.parametrize("layer", sorted(LAYER.parent.glob("*.yaml")), ids=lambda layer: layer.stem)
def test_rpi_image_gen_lints_it(layer):
    assert ig("metadata", "--lint", layer).strip() == "OK"


@needs_their_tool
@pytest.mark.parametrize("board", ["rpizero2w", "rpi3", "rpi4", "rpi5", "rpi-cm4", "rpi-cm5"])
def test_rpi_image_gen_finds_every_layer_and_no_two_that_do_the_same(board, tmp_path):
    theirs = Path(os.environ["RPI_IMAGE_GEN"])
    env, plan = tmp_path / "env", tmp_path / "plan"
    ig("config", "--path", f"{IMAGE / 'config'}:{theirs / 'config'}", "pinhole.yaml", "--write-to", env)
    layers = re.findall(r'^IGconf_(?:image|layer)_(?:layer|base|app)="(.*)"$', env.read_text(), re.MULTILINE)
    given = f'IGROOT="{theirs}"\nSRCROOT="{IMAGE}"\nIGconf_pinhole_release="{tmp_path}"\n'
    given += f'IGconf_pinhole_signers="{env}"\n'
    env.write_text(env.read_text() + given)
    (tmp_path / "layer").mkdir()
    ig(
        "pipeline", "--env-in", env, "--layers", "essential", board, *layers,
        "--path", f"DYNlayer={tmp_path / 'layer'}:ours={IMAGE / 'layer'}"
        + "".join(f":{name}={theirs / name}" for name in ("layer", "device", "image")),
        "--env-out", tmp_path / "out", "--plan-out", plan,
    )  # fmt: skip
    names = [line.split(":")[0] for line in plan.read_text().splitlines()]
    assert names[-1] == "pinhole"
    assert {"network-manager", "openssh-server", "image-rpios"} <= set(names)
