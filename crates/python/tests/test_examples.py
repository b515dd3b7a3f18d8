"""The examples, as a user runs them, and as the documentation quotes them."""

import re
import subprocess
import sys

from shared import ROOT

EXAMPLES = ROOT / "crates/python/examples"


def test_the_cycle_runs_and_is_short():
    path = EXAMPLES / "cycle.py"
    assert len(path.read_text().splitlines()) < 80
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 layers committed, 48 slots verified\n"


def test_the_documentation_quotes_it():
    page = (ROOT / "docs/python.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert (EXAMPLES / "cycle.py").read_text() in blocks


def test_the_documentations_other_code_runs():
    page = (ROOT / "docs/python.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    runnable = [block for block in blocks if not re.search(r"torch|integrations|layers committed", block)]
    assert len(runnable) >= 3
    for block in runnable:
        subprocess.run([sys.executable, "-c", block], check=True, timeout=120, cwd=ROOT)
