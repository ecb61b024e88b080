"""The files for clusters, each read by what will read it, without a network."""

import re
import tomllib
from pathlib import Path

import pytest
import ray
import yaml
from ray.autoscaler._private import util as launcher

FOLDER = Path(__file__).resolve().parents[3] / "tune" / "cluster"
REPOSITORY = FOLDER.parents[1]
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def load(name):
    return yaml.safe_load((FOLDER / name).read_text())


@pytest.fixture(scope="module")
def dockerfile():
    """The Dockerfile's instructions and what follows them, in order."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.M)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def test_the_image_has_this_ray_and_python(dockerfile):
    assert dockerfile[0] == ("FROM", f"rayproject/ray:{ray.__version__}-py311")
    (install,) = [rest for word, rest in dockerfile if word == "RUN"]
    assert f"ray=={ray.__version__}" in install
    assert PYPROJECT["project"]["requires-python"] == ">=3.11"


def test_the_image_copies_the_packages_and_is_not_roots(dockerfile):
    sources = [rest.split()[1] for word, rest in dockerfile if word == "COPY"]
    packages = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(sources) == sorted(["pyproject.toml", *packages])
    assert all((REPOSITORY / source).exists() for source in sources)
    assert [rest for word, rest in dockerfile if word == "USER"] == ["ray"]
    sent = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    assert sent.index("*") < min(sent.index(f"!{source}") for source in sources)


def test_both_clusters_use_the_image_of_this_version():
    image = f"REGISTRY/utkface-tune:{PYPROJECT['project']['version']}"
    spec = load("rayjob.yaml")["spec"]["rayClusterSpec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    containers = [c for group in groups for c in group["template"]["spec"]["containers"]]
    assert {container["image"] for container in containers} == {image}
    assert load("ray-cluster.yaml")["docker"]["image"] == image
    assert f"-t {image} ." in (FOLDER / "Dockerfile").read_text()


def test_rays_cluster_launcher_accepts_its_file():
    config = launcher.prepare_config(load("ray-cluster.yaml"))
    launcher.validate_config(config)
    assert "boto3" in config["head_setup_commands"][-1]
    assert not any("ray-wheels" in str(command) for command in config["setup_commands"])


def test_workers_are_spot_and_go_when_idle():
    config = load("ray-cluster.yaml")
    types = config["available_node_types"]
    head, worker = types[config["head_node_type"]], types["gpu"]
    assert head["resources"]["CPU"] == 0  # no trial on the one node that must not go away
    assert "InstanceMarketOptions" not in head["node_config"]
    assert worker["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert worker["resources"]["GPU"] >= 1
    assert config["idle_timeout_minutes"] <= 10
    assert config["provider"]["cache_stopped_nodes"] is False


def test_both_clusters_ask_for_a_token_and_open_no_more_than_they_must():
    config = load("ray-cluster.yaml")
    starts = [config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]]
    assert all("RAY_AUTH_MODE=token ray start" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "--ray-client-server-port=0" in starts[0]
    assert config["file_mounts"]["/home/ray/.ray/auth_token"] == "~/.ray/auth_token"
    spec = load("rayjob.yaml")["spec"]["rayClusterSpec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["rayStartParams"]["ray-client-server-port"] == "0"


def test_the_rayjob_is_whole():
    job = load("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]["rayClusterSpec"]
    assert spec["rayVersion"] == ray.__version__
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    assert all(isinstance(v, str) for v in spec["headGroupSpec"]["rayStartParams"].values())
    (worker,) = spec["workerGroupSpecs"]
    assert worker["minReplicas"] <= worker["replicas"] <= worker["maxReplicas"]
    for group, name in [(spec["headGroupSpec"], "ray-head"), (worker, "ray-worker")]:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["name"] == name
        assert container["resources"]["limits"] == container["resources"]["requests"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert worker["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]


def test_no_secret_stands_in_a_file():
    env = load("rayjob.yaml")["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    keys = {entry["name"]: entry for entry in env["containers"][0]["env"]}
    assert "value" not in keys["WANDB_API_KEY"]
    assert keys["WANDB_API_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "wandb"


def test_the_commands_in_the_files_are_commands_of_this_project():
    from tune.options.search import build_parser

    entrypoint = load("rayjob.yaml")["spec"]["entrypoint"].split()
    text = (FOLDER / "ray-cluster.yaml").read_text()
    submitted = text.split("tune/run_search.py \\\n")[1].split("\n#     ray rsync-down")[0]
    submitted = submitted.replace("#", "").replace("\\", "").split()
    for command in (entrypoint[2:], submitted):
        given = vars(build_parser().parse_args(command))
        assert given["address"] == "auto"
        assert {"storage", "results", "data"} <= given.keys()
