"""Finds the process that listens on a port, from what Linux shows under /proc."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")
_LISTENS = "0A"


def holder_of(port: int) -> str | None:
    """Describe the process that listens on a port: its number and command; None where that can't be seen."""
    inodes = {f"socket:[{inode}]" for inode in _listening(port)}
    for process in _PROC.glob("[0-9]*") if inodes else ():
        try:
            if any(str(link.readlink()) in inodes for link in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().split(b"\0")
                return f"process {process.name} ({b' '.join(words).decode(errors='replace').strip()[:120]})"
        except OSError:
            continue  # it has ended, or is somebody else's
    return None


def _listening(port: int) -> list[str]:
    found = []
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue  # no Linux, or no IPv6
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                found.append(fields[9])
    return found
