"""Makes libcamera's virtual camera stand for a Pi's: what it lacks, before picamera2 meets it.

Python imports this by its name at each start, as long as its folder is in PYTHONPATH.
"""

import importlib.abc
import importlib.util
import sys

import virtual_camera

PATCHES = {
    "picamera2.platform": virtual_camera.patch_platform,
    "picamera2.picamera2": virtual_camera.patch_camera,
    "picamera2.request": virtual_camera.patch_request,
}


class Finder(importlib.abc.MetaPathFinder):
    """Patches a module as soon as it was loaded."""

    def find_spec(self, fullname, *_):
        patch = PATCHES.pop(fullname, None)
        if patch is None:
            return None
        spec = importlib.util.find_spec(fullname)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            patch(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
