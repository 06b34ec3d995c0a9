"""``flowcli`` as a user calls it: in this process where that will do, since torch takes seconds to load."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from flowcli.cli.main import run

TINY = """\
flow:
  layers:
    - marginal: quantile
    - autoregressive:
        transform: {spline: {bins: 4, bound: 5}}
        net: {hidden: [8], residual: false, dropout: 0}
  base: normal
train: {learning_rate: 1e-3, batch_size: 32}
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Standard output."""
        return self.out.decode()

    @property
    def lines(self) -> list[str]:
        """Its lines."""
        return self.text.splitlines()

    @property
    def complaint(self) -> str:
        """The one line on standard error of a command that failed; notes may stand before it."""
        *notes, last = self.err.splitlines() or [""]
        assert all(line.startswith("flowcli: note: ") for line in notes), self.err
        assert last.startswith("flowcli: "), self.err
        assert "Traceback" not in self.err
        return last.removeprefix("flowcli: ")


def flowcli(*arguments: object, stdin: bytes = b"") -> Done:
    """Run a command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    with mock.patch.multiple(sys, stdin=given, stdout=out, stderr=err), mock.patch.dict(os.environ, COLUMNS="80"):
        code = run([str(each) for each in arguments])
    return Done(code, out.buffer.getvalue(), err.buffer.getvalue().decode())


def fitted(data: Path, model: Path, *arguments: object) -> Path:
    """A model of very little training."""
    config = model.with_name("tiny.yaml")
    config.write_text(TINY)
    done = flowcli("fit", data, "-o", model, "-c", config, "--threads", 1, "--epochs", 1, *arguments)
    assert done.code == 0, done.err
    return model


def command(*arguments: object) -> list[str]:
    """The words that start a command in a process of its own."""
    return [sys.executable, "-m", "flowcli", *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """For a process of its own."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80", **changes}


def process(*arguments: object, stdin: bytes = b"", cwd: Path | None = None, **changes: str) -> Done:
    """Run a command in a process of its own."""
    done = subprocess.run(
        command(*arguments), input=stdin, capture_output=True, check=False, cwd=cwd, env=environment(**changes)
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


def shell(line: str, cwd: Path, **changes: str) -> Done:
    """Run a line of bash, where ``flowcli`` is the command."""
    script = f'flowcli() {{ {json.dumps(sys.executable)} -m flowcli "$@"; }}\nset -o pipefail\n{line}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False, cwd=cwd, env=environment(**changes))
    return Done(done.returncode, done.stdout, done.stderr.decode())


def rows(count: int = 300, seed: int = 0) -> str:
    """A table of a real, an integer and a decimal column."""
    import numpy as np

    random = np.random.default_rng(seed)
    columns = zip(
        random.standard_normal(count).tolist(),
        random.integers(0, 20, count).tolist(),
        np.exp(random.standard_normal(count)).tolist(),
        strict=True,
    )
    return "a,b,c\n" + "".join(f"{a!r},{b},{c:.2f}\n" for a, b, c in columns)
