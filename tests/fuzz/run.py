"""Fuzz one target until told otherwise: `python -m tests.fuzz.run TARGET [libFuzzer options] [corpus folders]`.

Needs atheris (`pip install --group fuzz`). An input that breaks a promise is written where `-artifact_prefix` says.
"""

import sys
import warnings

import atheris

warnings.simplefilter("ignore")
with atheris.instrument_imports(include=["syncgov"]):
    from tests.fuzz.targets import TARGETS


def main(name: str) -> None:
    """Run; ends the process."""
    target = TARGETS[name]

    def once(data: bytes) -> None:
        target(data)

    target(b"")  # what is made once is made before anything is measured
    atheris.Setup([sys.argv[0], *sys.argv[2:]], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1])
