"""Are the pictures that `make assets` writes whole in themselves?"""

from __future__ import annotations

import re

from assets.make import ASSETS, FEATURE_SIGNALS, OPTIMIZATION_INSIGHT, SCREENSHOTS, self_contained

TEXT = '<text class="r1" x="24.4" y="20" textLength="61" clip-path="url(#l)">&#160;&#160;a&amp;b</text>'
PLAIN = '<text class="r2" x="0" y="40" textLength="12.2" clip-path="url(#l)">c</text>'


def test_leading_spaces_become_a_place() -> None:
    """Two of five cells of 12.2 are spaces: the words begin 24.4 further right and are 36.6 long."""
    moved = self_contained(PLAIN + TEXT)
    assert moved == PLAIN + TEXT.replace('"24.4"', '"48.8"').replace('"61"', '"36.6"').replace("&#160;", "")


def test_nothing_is_fetched_from_the_network() -> None:
    font = '@font-face {\n  font-family: "Fira Code";\n  src: url("https://example.org/font.woff2");\n}'
    assert re.findall(r"https?://", self_contained(f"<style>{font}</style>{TEXT}")) == []


def test_the_readme_shows_the_figures_of_a_keras_run() -> None:
    readme = (ASSETS.parent / "README.md").read_text()
    assert len(OPTIMIZATION_INSIGHT) == 7
    for name in OPTIMIZATION_INSIGHT:
        path = f"assets/optimization-insight/{name}.svg"
        assert f"]({path})" in readme
        assert (ASSETS.parent / path).stat().st_size < 500_000


def test_the_readme_shows_the_figures_of_feature_signals_and_every_screen() -> None:
    readme = (ASSETS.parent / "README.md").read_text()
    paths = [f"assets/feature-signal-vis/{name}.svg" for name in FEATURE_SIGNALS]
    paths += [f"assets/screens/{one.name}.svg" for one in SCREENSHOTS if one.name not in ("help", "layers")]
    for path in paths:
        assert f"]({path})" in readme, path
        assert (ASSETS.parent / path).stat().st_size < 900_000, path
    shown = {str(p.relative_to(ASSETS.parent)) for p in (ASSETS / "feature-signal-vis").rglob("*.svg")}
    assert shown == {path for path in paths if "feature-signal-vis" in path}
