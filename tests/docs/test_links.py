"""Whoever follows a link arrives, and every page can be found from the index."""

from pathlib import Path

import pytest
from tests.docs.pages import INDEX, PAGES, ROOT, anchors, links

EVERY = pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda p: p.name)


@EVERY
def test_each_link_leads_to_a_file(page: Path) -> None:
    """Relative links are those that break when a file moves."""
    assert [str(file) for file, _ in links(page) if not file.exists()] == []


@EVERY
def test_each_anchor_is_a_heading(page: Path) -> None:
    """A heading that is reworded breaks the links to it."""
    assert [
        f"{file.name}#{anchor}"
        for file, anchor in links(page)
        if anchor and file.suffix == ".md" and file.exists() and anchor not in anchors(file)
    ] == []


def test_each_page_is_reached_from_the_index() -> None:
    """A page that no link leads to is read by nobody."""
    reached, open_ends = {INDEX}, [INDEX]
    while open_ends:
        for file, _ in links(open_ends.pop()):
            if file.suffix == ".md" and file.exists() and file not in reached:
                reached.add(file)
                open_ends.append(file)
    assert {str(page.relative_to(ROOT)) for page in set(PAGES) - reached} - {"README.md"} == set()


def test_the_index_names_each_page_beside_it() -> None:
    """The index is complete by itself; only decisions and kinds of signals have own lists."""
    named = {file for file, _ in links(INDEX)}
    beside = {page for page in PAGES if page.parent == INDEX.parent} - {INDEX}
    assert {page.name for page in beside - named} == set()
