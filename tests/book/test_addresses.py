"""Addresses of version 0.9, which readers have kept and papers may cite, still lead somewhere."""

import json
from pathlib import Path

import pytest

from tests.book.test_pages import HTML, parsed
from tools.moved import moved_from, script_of, stub_of

OLD = json.loads(Path(__file__).with_name("addresses_0.9.json").read_text())
MOVED = moved_from()
KEPT_PAGE = "book/manifold/losing_dimensions.html"
ONE_EACH = {target.partition("#")[0]: anchor for anchor, target in MOVED[KEPT_PAGE].items()}


def is_there(address):
    page, _, anchor = address.partition("#")
    path = HTML / page
    return path.is_file() and (not anchor or anchor in parsed(path).ids)


@pytest.mark.parametrize("name", OLD)
def test_old_addresses_are_there_or_lead_on(name):
    page = f"{name}.html"
    targets = MOVED.get(page, {})
    assert is_there(page) or "" in targets, page
    lost = {a for a in OLD[name] if not is_there(f"{page}#{a}")}
    assert lost - targets.keys() == set() or "" in targets
    for anchor, target in targets.items():
        assert is_there(target), target
        assert not anchor or anchor in OLD[name], f"{anchor} was never there"
        assert not anchor or not is_there(f"{page}#{anchor}"), f"{anchor} is still there"


def test_only_old_pages_are_moved():
    assert {page.removesuffix(".html") for page in MOVED} <= OLD.keys()


@pytest.mark.parametrize("anchor", ONE_EACH.values())
def test_an_anchor_that_has_moved_is_followed_on_disk(browser, anchor):
    page = browser.new_page()
    page.goto(f"{(HTML / KEPT_PAGE).as_uri()}#{anchor}", wait_until="commit")
    target = MOVED[KEPT_PAGE][anchor]
    page.wait_for_url(f"**/{target}", wait_until="domcontentloaded")
    assert page.locator(f"[id='{target.partition('#')[2]}']").count() == 1
    page.close()


def test_other_anchors_stay(browser):
    page = browser.new_page()
    address = f"{(HTML / KEPT_PAGE).as_uri()}#ld-collapse"
    page.goto(address, wait_until="domcontentloaded")
    page.wait_for_timeout(300)
    assert page.url == address
    page.close()


@pytest.mark.parametrize("script", [True, False])
def test_a_page_that_is_gone_forwards(browser, tmp_path, script):
    """With script to the new place of the anchor, without it to the new page."""
    old, new = "part/old.html", "part/new.html"
    targets = {"": new, "lemma": f"{new}#theorem"}
    (tmp_path / "part").mkdir()
    (tmp_path / old).write_text(stub_of(old, targets))
    (tmp_path / new).write_text("<p id='theorem'>Here.</p>")
    page = browser.new_context(java_script_enabled=script).new_page()
    for anchor, end in (("lemma", "#theorem" if script else ""), ("other", "")):
        page.goto(f"{(tmp_path / old).as_uri()}#{anchor}", wait_until="commit")
        page.wait_for_url(lambda url, end=end: "new.html" in url and url.endswith(end))
    page.close()


def test_scripts_hold_addresses_near_the_page():
    script = script_of("a/b/old.html", {"x": "a/c/new.html#y"})
    assert '{"x": "../c/new.html#y"}' in script
    assert "</" not in script_of("a/old.html", {"</script>": "a/new.html"})
