"""Write to a disk from within a control group and print how long that took, in seconds:

    python -m chaosctl.safety.disk_canary GROUP/cgroup.procs FOLDER BYTES TIMES

Each time so many bytes, and the disk has to have them before the next. The file has no name: nothing stays. What goes
wrong is printed as `error: ...`.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def main() -> None:
    """Write."""
    group, folder, size_bytes, times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    try:
        Path(group).write_text(str(os.getpid()))
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
        begin_s = time.monotonic()
        for _ in range(times):
            os.write(descriptor, bytes(size_bytes))
            os.fsync(descriptor)
        sys.stdout.write(f"{time.monotonic() - begin_s:.6f}\n")
    except OSError as error:
        sys.stdout.write(f"error: {error.strerror}\n")


if __name__ == "__main__":
    main()
