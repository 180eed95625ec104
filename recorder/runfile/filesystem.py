"""What kind of disk is this path on? On network disks HDF5 may not be written while others read it.

There neither locks nor the order of writes can be trusted, so the writer only shows readers finished files.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from recorder.errors import RecordError

MOUNTS = Path("/proc/self/mountinfo")
CHOICE = "LAYERSCOPE_STORAGE"
NETWORK = frozenset(
    {
        "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "fuse", "gfs2", "glusterfs", "gpfs",
        "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs",
        "vboxsf", "virtiofs", "vmhgfs", "wekafs",
    }
)  # fmt: skip
LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.ext4"})


def kind_of(path: Path | str) -> str:
    """The name of the file system that holds `path`, which need not exist: "ext4", "nfs4"; "" where nobody knows."""
    where = os.path.realpath(path)
    found, longest = "", -1
    try:
        lines = MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.partition(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        mount = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
        inside = mount == "/" or where == mount or where.startswith(mount + "/")
        if inside and len(mount) >= longest:  # a later mount over the same folder is the one that is seen
            found, longest = kind, len(mount)
    return found


def is_network(kind: str) -> bool:
    """Whether other hosts may see this file system, too."""
    return kind in NETWORK or (kind.startswith("fuse.") and kind not in LOCAL_FUSE)


def takes_live_files(path: Path | str) -> bool:
    """Whether HDF5 may be written at `path` while others read it; LAYERSCOPE_STORAGE=hdf5 or =logs says so, too."""
    choice = os.environ.get(CHOICE, "")
    if choice not in ("", "hdf5", "logs"):
        raise RecordError(
            f"{CHOICE}={choice!r}: expected 'hdf5' (written while others read it) or 'logs' (as on network disks)"
        )
    return choice == "hdf5" if choice else not is_network(kind_of(path))
