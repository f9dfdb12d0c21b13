"""Finds in an image's files what a break-in could use: setuid programs, and paths that the service's user may write.

    docker export "$(docker create retainstream-gateway)" | python -m tests.install.image_scan /data /models

or, of an unpacked tree: `python -m tests.install.image_scan --tree FOLDER /data /models`. Exit status 1 where anything is found.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

USER = 10001
#: Made for everybody, with the sticky bit; the containers' root is read-only, so only /tmp, which is memory, counts.
FOR_ALL = frozenset({"/tmp", "/var/tmp", "/run/lock", "/dev/shm", "/dev/mqueue"})
_NO_FILES = ("/dev/", "/proc/", "/sys/")


class Entry(NamedTuple):
    """A file or folder of an image."""

    path: str
    mode: int
    uid: int
    gid: int


def of_tree(root: Path) -> Iterator[Entry]:
    """The entries of an unpacked tree, links left out: they have no rights of their own."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            found = (Path(folder) / name).lstat()
            if not stat.S_ISLNK(found.st_mode):
                inside = (Path(folder) / name).relative_to(root)
                yield Entry(f"/{inside}", found.st_mode, found.st_uid, found.st_gid)


def of_archive(stream: IO[bytes]) -> Iterator[Entry]:
    """The entries of what `docker export` writes."""
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if not (member.issym() or member.islnk()):
                kind = stat.S_IFDIR if member.isdir() else stat.S_IFREG
                yield Entry("/" + member.name.strip("./"), kind | member.mode, member.uid, member.gid)


def findings(entries: Iterable[Entry], *, writable: Iterable[str] = (), user: int = USER) -> list[str]:
    """One line for each thing that should not be, in order of their paths.

    Parameters
    ----------
    writable
        Folders that the user is meant to write.
    """
    meant = tuple(writable)
    found = []
    for path, mode, uid, gid in sorted(entries):
        if path.startswith(_NO_FILES):
            continue
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            found.append(f"{path}: runs as its owner or group ({stat.filemode(mode)})")
        may_write = mode & 0o002 or (uid == user and mode & 0o200) or (gid == user and mode & 0o020)
        is_meant = any(path == each or path.startswith(f"{each}/") for each in meant)
        is_shared = path in FOR_ALL and mode & stat.S_ISVTX
        if may_write and not is_meant and not is_shared:
            found.append(f"{path}: user {user} may write it ({stat.filemode(mode)} {uid}:{gid})")
    return found


def main() -> int:
    """Print what was found; 1 where there is anything."""
    parser = argparse.ArgumentParser(prog="python -m tests.install.image_scan", description=__doc__.splitlines()[0])
    parser.add_argument("--tree", type=Path, help="an unpacked file system; without it an archive on standard input")
    parser.add_argument("writable", nargs="*", help="folders that the user is meant to write")
    given = parser.parse_args()
    entries = of_tree(given.tree) if given.tree else of_archive(sys.stdin.buffer)
    found = findings(entries, writable=given.writable)
    print("\n".join(found) or "Nothing found.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
