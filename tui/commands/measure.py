"""Measure instruments at the checkpoints of a training that is over, or of files of weights.

The results are a part of the run. Ctrl-C ends it, and the same command goes on. In a process of its own, because the
command line never loads a framework.

  layerscope measure runs/mlp.h5 --list
  layerscope measure runs/mlp.h5 cka effective_dimension
  layerscope measure new.h5 cka --checkpoints 'out/*.pth' --model train:Net --data train:batch
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from recorder.measuring.arguments import arguments, words

__all__ = ["arguments", "run"]


def run(args: argparse.Namespace) -> int:
    child = subprocess.Popen([sys.executable, "-m", "recorder", "measure", *words(args)])
    while True:
        try:
            status = child.wait()
        except KeyboardInterrupt:  # it goes to both: the child puts the run in order, and says so
            child.send_signal(2)
        else:
            return status if status >= 0 else 128 - status
