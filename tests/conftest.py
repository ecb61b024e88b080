import os
import shutil
import tempfile


def pytest_configure(config):
    """Keep what the tests decode out of the user's cache, unless one was named for them."""
    if "UTKFACE_CACHE" not in os.environ:
        os.environ["UTKFACE_CACHE"] = tempfile.mkdtemp(prefix="utkface-tests-")
        folder = os.environ["UTKFACE_CACHE"]
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
