"""What a cluster lacks is told in one line, before a run folder is made."""

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def refused(search):
    def refused_(*arguments, env=None, results=None):
        """Run a search that cannot be; return its one line."""
        if results is not None:
            search.results = results
        process = search.new("--num-trials", 1, *arguments, env=env)
        assert search.wait(process) == 2, search.log.read_text()
        (line,) = search.log.read_text().splitlines()
        assert line.startswith("error: ")
        assert not list(search.results.glob("*/search.json"))
        return line

    return refused_


@pytest.fixture
def hiding(local_cluster):
    if not local_cluster.hidden:
        pytest.skip("this user may not give a process file systems of its own (unshare -m)")


@pytest.mark.usefixtures("hiding")
def test_several_nodes_and_no_shared_storage(refused, local_cluster):
    line = refused(results=local_cluster.private / "results")
    assert line.count("what the driver wrote is not there") == len(local_cluster.workers)
    assert "give --storage" in line


@pytest.mark.usefixtures("hiding")
def test_a_storage_that_only_the_driver_reaches(refused, local_cluster):
    storage = local_cluster.private / "storage"
    line = refused("--storage", storage)
    assert f"--storage {storage} is out of reach" in line


@pytest.mark.usefixtures("hiding")
def test_faces_that_no_object_store_holds(refused):
    line = refused("--image-size", 224)  # 600 faces of 147 KiB
    assert "(86.1 MiB at 224 px) do not fit into the object store" in line
    assert "--object-store-memory" in line


@pytest.mark.parametrize("token", ["", "f" * 64])
def test_a_missing_or_another_token(refused, token, tmp_path):
    env = {"RAY_AUTH_TOKEN": token, "RAY_AUTH_TOKEN_PATH": "", "HOME": str(tmp_path)}
    line = refused(env=env)
    assert "asks for a token" in line
    assert "ray get-auth-token" in line
