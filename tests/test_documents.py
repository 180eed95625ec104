"""Do the documents say what the code does? Links lead somewhere, examples compile, commands and defaults exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assets.readme import PARTS, filled

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(p for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_to_files_of_the_repository(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_python_examples_compile(document: Path) -> None:
    for example in re.findall(r"```python\n(.*?)```", document.read_text(), re.DOTALL):
        compile(example, str(document), "exec")


def test_the_makefile_has_the_commands_that_documents_name() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wanted = {m for d in DOCUMENTS for m in re.findall(r"^(?:.*`)?make ([a-z][a-z-]*)", d.read_text(), re.MULTILINE)}
    assert {"demo", "test"} <= wanted <= targets


@pytest.mark.parametrize("document", PARTS)
def test_what_is_made_from_the_code_is_as_the_code_has_it(document: str) -> None:
    assert filled(document) == (ROOT / document).read_text(), f"{document} is out of date; run: make readme"
