"""A disk of its own for each member: an ext4 file system in a sparse file.

cut_power() is the loss of power as the disk sees it: what was synced stays, what was only
written is gone (FS_IOC_SHUTDOWN without flushing the journal). The journal commits only every
five minutes by itself, so that a write that nobody synced really is lost.

Whoever used the disk must have been stopped before: when a sync meets the shutdown, ext4 may say
that it succeeded although the blocks (fallocated ones that were written for the first time) are
lost, and no program hears that from a machine without power.
"""

import fcntl
import os
import struct
import subprocess
import time

from world import command

FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
SIZE = 1 << 30
FILLER = "filler"
UNMOUNT_SECONDS = 5


class Disk:
    def __init__(self, image, folder):
        self.image = image
        self.folder = folder
        self.powered = False

    def make(self):
        with open(self.image, "wb") as file:
            file.truncate(SIZE)
        command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=1",
                self.image)
        os.makedirs(self.folder, exist_ok=True)
        self.mount()

    def mount(self):
        command("mount", "-o", "loop,commit=300", self.image, self.folder)
        self.powered = True

    def unmount(self):
        """A process that was just killed may hold it for a moment more."""
        deadline = time.monotonic() + UNMOUNT_SECONDS
        while subprocess.run(["umount", self.folder], capture_output=True,
                             check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise RuntimeError("cannot unmount " + self.folder)
            time.sleep(0.01)

    def cut_power(self):
        """From now on nothing reaches the disk."""
        self.powered = False
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(folder)

    def restore_power(self):
        """The process is gone: the file system comes up again as the disk has it."""
        self.unmount()
        self.mount()

    def free(self):
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_bsize

    def fill(self, leave):
        """Takes all room but so many bytes."""
        if not self.powered:
            return
        with open(os.path.join(self.folder, FILLER), "ab") as file:
            room = self.free() - leave
            while room > 4096:
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), room)
                    return
                except OSError:
                    room //= 2

    def make_room(self):
        """What fill() took."""
        path = os.path.join(self.folder, FILLER)
        if os.path.exists(path):
            os.unlink(path)

    def remove(self):
        self.unmount()
        os.unlink(self.image)
        os.rmdir(self.folder)
