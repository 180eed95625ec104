"""Runs that mean harm, or met it: each builder turns a folder with a good run into a bad one, and says what is said.

`RUNS` are built on a run that ended, `KILLED` on one whose process died, with its logs and declarations.
"""

from collections.abc import Mapping

from tests.runfile.corpus.bad import VIEW, Bad, good, killed, redeclare
from tests.runfile.corpus.beside import KILLED
from tests.runfile.corpus.chunks import CHUNKS
from tests.runfile.corpus.declared import DECLARED
from tests.runfile.corpus.stored import STORED

__all__ = ["KILLED", "RUNS", "VIEW", "Bad", "good", "killed", "redeclare"]

RUNS: Mapping[str, Bad] = {**STORED, **CHUNKS, **DECLARED}
