"""The built book as a reader meets it: in a browser, wide and on a phone, by keyboard, without
network or script."""

import functools
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from memolib import __version__
from tests.notebooks.test_stored import says_something
from tools.notebooks import ROOT

HTML = ROOT / "_build" / "html"
PAGES = re.findall(r"book/\S+", (ROOT / "_toc.yml").read_text())
SIZES = {"wide": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
MAX_PAGE_BYTES = 3_000_000


@pytest.fixture
def open_page(browser, site):
    """Open a page and record what it logs, asks other hosts for (refused) and weighs."""
    contexts = []

    def open_page(name, size="wide", **options):
        phone = {"is_mobile": True, "has_touch": True} if size == "phone" else {}
        context = browser.new_context(viewport=SIZES[size], **phone, **options)
        contexts.append(context)
        page = context.new_page()
        page.problems, page.foreign, page.weight = [], [], {}

        def route(route):
            if route.request.url.startswith((site, "data:", "blob:")):
                route.continue_()
            else:
                page.foreign.append(route.request.url)
                route.abort()

        def weigh(response):
            if response.request.resource_type in ("document", "image") and response.url.startswith(
                site
            ):
                page.weight[response.url] = len(response.body())

        context.route("**/*", route)
        page.on("response", weigh)
        page.on(
            "console",
            lambda m: page.problems.append(m.text) if m.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto(f"{site}/{name}.html", wait_until="load")
        if options.get("java_script_enabled", True):
            page.wait_for_function(
                "!window.MathJax?.startup || MathJax.startup.promise.then(() => true)"
            )
            page.wait_for_function(
                "document.querySelectorAll('figure.explorable').length"
                " === document.querySelectorAll('figure.explorable.ready').length"
            )
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_all_pages_are_built():
    assert PAGES and all((HTML / f"{page}.html").is_file() for page in PAGES)
    assert (
        (HTML / "index.html").is_file()
        and (HTML / "404.html").is_file()
        and (HTML / "search.html").is_file()
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [*PAGES, "search"])
def test_page(open_page, name, size):
    page = open_page(name, size)
    assert page.problems == [] and page.foreign == []
    assert sum(page.weight.values()) <= MAX_PAGE_BYTES
    # mathematics
    assert (
        page.locator("article .math").count() == page.locator("article .math mjx-container").count()
    )
    assert page.locator("mjx-merror").count() == 0
    # figures: all have loaded and say what they show
    page.evaluate(
        "document.querySelectorAll('img').forEach((image) => { image.loading = 'eager' })"
    )
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    for image in page.locator("article img").all():
        assert image.evaluate("(image) => image.naturalWidth") > 0
        assert says_something(image.get_attribute("alt") or ""), image.get_attribute("src")[:80]
    # no sideways scroll
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    page.evaluate("window.scrollTo(500, 0)")
    assert page.evaluate("window.scrollX") == 0


def shown(figure):
    """What an explorable figure shows: hash of the image's bytes, alternative text, sentence, value
    read aloud."""
    data = figure.locator("img").evaluate(
        "async (image) => [...new Uint8Array(await (await fetch(image.src)).arrayBuffer())]"
    )
    alt, sentence = (
        figure.locator("img").get_attribute("alt"),
        figure.locator(".explorable-sentence").inner_text(),
    )
    spoken = [i.get_attribute("aria-valuetext") for i in figure.locator("input").all()]
    return hashlib.sha256(bytes(data)).hexdigest(), alt, sentence, tuple(spoken)


def explorable_pages():
    return [page for page in PAGES if 'class="explorable"' in (HTML / f"{page}.html").read_text()]


def press_every_key(page):
    figures = page.locator("figure.explorable").all()
    assert figures
    for figure in figures:
        assert figure.locator("input").count() >= 1
        for slider in figure.locator("input").all():
            slider.focus()
            states = []
            for key in ("Home", "ArrowRight", "End", "ArrowLeft"):
                page.keyboard.press(key)
                states.append(shown(figure))
            for state in states:
                assert says_something(state[1]) and state[1] == state[2]
            for before, after in (
                (states[0], states[2]),
                (states[0], states[1]),
                (states[2], states[3]),
            ):
                assert before[0] != after[0] and before[1] != after[1] and before[3] != after[3]


def kinds_of_slider(page):
    """Formats and numbers of sliders of a page's explorable figures."""
    html = (HTML / f"{page}.html").read_text()
    return set(re.findall(r'<figure class="explorable"[^>]*><img src="data:([^;]*);', html))


def test_sliders_move_by_keyboard(open_page):
    """Each on a wide screen; on a phone, where script and markup are the same, a page of each
    format of frames."""
    pages, seen = explorable_pages(), set()
    assert "book/glass/random_energy_model" in pages
    for name in pages:
        sizes = ["wide"] if kinds_of_slider(name) <= seen else ["wide", "phone"]
        seen |= kinds_of_slider(name)
        for size in sizes:
            page = open_page(name, size)
            press_every_key(page)
            assert page.problems == [] and page.foreign == []
    assert seen == {"image/svg+xml", "image/webp"}


def test_sliders_move_in_a_copy_on_disk(browser):
    """The offline zip is read over file://, where nothing can be fetched."""
    page = browser.new_page()
    page.goto((HTML / f"{explorable_pages()[0]}.html").as_uri())
    page.wait_for_selector("figure.explorable.ready")
    figure = page.locator("figure.explorable").first
    figure.locator("input").first.focus()
    seen = set()
    for key in ("Home", "End"):
        page.keyboard.press(key)
        image = figure.locator("img")
        image.evaluate("(image) => image.decode()")
        seen.add((image.get_attribute("src"), image.get_attribute("alt")))
    assert len(seen) == 2
    page.close()


def test_first_frames_stand_without_script(open_page):
    page = open_page(explorable_pages()[0], java_script_enabled=False)
    for image in page.locator("figure.explorable img").all():
        box = image.bounding_box()
        assert (
            box["width"] > 200
            and box["height"] > 100
            and says_something(image.get_attribute("alt"))
        )


def test_dark_mode_keeps_figures_readable(open_page):
    page = open_page(explorable_pages()[0], color_scheme="dark")
    background = page.locator("figure.explorable img").first.evaluate(
        "(image) => getComputedStyle(image).backgroundColor"
    )
    assert background == "rgb(255, 255, 255)"


def test_launch_buttons_follow_the_one_address():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    owner = urlsplit(config["repository"]["url"]).path
    html = (HTML / "book/glass/random_energy_model.html").read_text()
    assert (
        f"https://mybinder.org/v2/gh{owner}/main?urlpath=lab/tree/book/glass/random_energy_model.ipynb"
        in html
    )
    assert (
        f"https://colab.research.google.com/github{owner}/blob/main/book/glass/random_energy_model.ipynb"
        in html
    )
    assert config["repository"]["url"] in (HTML / "book/intro.html").read_text()


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.ids = [], set()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {attrs.get("id")}
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])


@functools.cache
def parsed(path):
    parser = Links()
    parser.feed(path.read_text())
    return parser


@pytest.mark.parametrize("name", PAGES)
def test_links_inside_the_book_lead_somewhere(name):
    page = HTML / f"{name}.html"
    for link in parsed(page).links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            assert parts.scheme == "https", link
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        assert target.is_file(), link
        if parts.fragment and target.suffix == ".html":
            assert unquote(parts.fragment) in parsed(target).ids, link


@pytest.mark.parametrize("lost", ["book/no/such_page.html", "nothing.html"])
def test_404_leads_home(browser, site, lost):
    page = browser.new_page()
    page.route(
        "**/" + lost,
        lambda route: route.fulfill(status=404, path=HTML / "404.html", content_type="text/html"),
    )
    page.goto(f"{site}/{lost}")
    page.click("#home")
    page.wait_for_url("**/book/intro.html")
    assert "Losing Dimensions" in page.title()
    page.close()


def test_zip_for_reading_offline():
    environment = {
        k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    subprocess.run(
        ["make", "zipped", f"VENV={os.path.relpath(sys.prefix, ROOT)}"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(ROOT / "_build" / f"losing-dimensions-{__version__}.zip") as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert {f"losing-dimensions-{__version__}/{page}.html" for page in PAGES} <= set(names)
    assert not any(".doctrees" in name for name in names)
