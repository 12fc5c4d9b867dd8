"""Runs programs in containers made by buildah, which need no engine and share the network of this machine.

`docker/test.sh` builds the images and says in the environment how buildah is called.
"""

import json
import os
import shlex
import subprocess
from pathlib import Path

from harness import Process, wait_until

BUILDAH = shlex.split(os.environ.get("BUILDAH", "buildah"))


def buildah(*arguments):
    """The output of a buildah command."""
    done = subprocess.run([*BUILDAH, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def image_config(image):
    return json.loads(buildah("inspect", "--type=image", image))["Docker"]["config"]


class Container:
    """A container of the image, with a volume as the image declares it: all that is started here finds it again."""

    def __init__(self, image, *options):
        self._name = buildah("from", *options, image)
        self._started = []

    def root(self):
        return Path(buildah("mount", self._name))

    def start(self, *command):
        process = Contained([*BUILDAH, "run", "--isolation=chroot", self._name, "--", *command])
        self._started.append(process)
        return process

    def remove(self):
        for process in self._started:
            process.kill()
        buildah("rm", self._name)


class Contained(Process):
    """A process in a container: at the end of a chain of buildah's own, which would leave it behind."""

    def uid(self):
        return Path(f"/proc/{self._innermost()}").stat().st_uid

    def _end(self, signal_number):
        if self._child.poll() is None:
            os.kill(self._innermost(), signal_number)
        return self.exit_code()

    def _innermost(self):
        """Buildah's last process becomes the program, so it is not the one meant until it has another name."""

        def look():
            pid = self.pid
            while children := children_of(pid):
                pid = children[0]
            own = Path(f"/proc/{pid}/comm").read_text()
            return pid if pid != self.pid and "buildah" not in own and not own.startswith("memfd") else None

        return wait_until(look, lambda: f"{self.name} did not start: {self.lines}")


def children_of(pid):
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]
