"""Docstrings say all that a reader must know, in sections that the page of the package shows."""

import importlib
import inspect
import pkgutil
import re

import pytest

import memolib
from tools.notebooks import ROOT

# What the page documents: all but private modules, and the checks of single chapters.
PUBLIC = [
    module.name
    for module in pkgutil.walk_packages(memolib.__path__, "memolib.")
    if not re.search(r"\._|\.exercises\.", module.name)
]
SECTIONS = {"Args", "Attributes", "Returns", "Yields", "Raises", "Source", "Chapter", "Example"}
# Modules whose functions compute something that a paper, or this book, says how to.
COMPUTING = re.compile(
    r"memolib\.(rem|theory|manifolds|spectra|dimension|sampling|memorization)\b"
)  # fmt: skip
CHAPTER = re.compile(r'``(\w+/\w+)``(, (theorem|proposition) "[\w-]+")?\.')
PAGES = set(re.findall(r"book/(\w+/\w+)", (ROOT / "_toc.yml").read_text()))


def own(module):
    """Functions and classes that a module defines, and methods, by name."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(thing):
            yield name, thing
        if inspect.isclass(thing):
            yield name, thing
            for method, function in vars(thing).items():
                function = getattr(function, "__func__", function)
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{name}.{method}", function


def sections(doc):
    """The lines of each section, by its header."""
    found = {}
    name = ""
    for line in inspect.cleandoc(doc).split("\n"):
        header = re.fullmatch(r"([A-Z]\w+):", line)
        if header:
            name = header[1]
            found[name] = []
        elif name:
            found[name].append(line)
    return found


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_are_complete(name):
    module = importlib.import_module(name)
    for label, thing in own(module):
        doc = thing.__doc__ or ""
        found = sections(doc)
        assert len(doc) > 20 and set(found) <= SECTIONS, label
        for section in SECTIONS:  # each header stands alone on its line
            assert not re.search(rf"\b{section}: ?\S", doc), (label, section)
        method = "." in label
        fields = inspect.isclass(thing) and issubclass(thing, tuple)
        if not method and not fields and not getattr(thing, "_is_protocol", False):
            assert "Chapter" in found, label
            assert "Source" in found or not COMPUTING.match(name), label
        if inspect.isfunction(thing):
            signature = inspect.signature(thing)
            parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
            said = re.findall(r"^    \**(\w+):", "\n".join(found.get("Args", [])), re.M)
            assert said == [p.name for p in parameters], label
            annotations = [p.annotation for p in parameters] + [signature.return_annotation]
            assert inspect.Signature.empty not in annotations, label
            gives = signature.return_annotation is not None
            assert gives == bool({"Returns", "Yields"} & set(found)), label
            if COMPUTING.match(name) and parameters:
                assert "Raises" in found, label


@pytest.mark.parametrize("name", PUBLIC)
def test_chapters_exist(name):
    for label, thing in own(importlib.import_module(name)):
        doc = thing.__doc__ or ""
        if "Chapter" in sections(doc):
            text = "\n".join(sections(doc)["Chapter"]).strip()
            assert (match := CHAPTER.fullmatch(text)) and match[1] in PAGES, label


def test_the_page_has_every_module_and_name():
    page = (ROOT / "book" / "reference" / "api.md").read_text()
    listed = dict(re.findall(r"automodule:: (\S+)\n   :members:(.*)", page))
    inner = {name for name in PUBLIC if name.rpartition(".")[0] in listed}  # by their package
    assert set(listed) == set(PUBLIC) - inner
    assert not any(names.strip() for names in listed.values())  # all members, not some
    for name in inner:
        module = importlib.import_module(name)
        package = importlib.import_module(name.rpartition(".")[0])
        assert {label for label, _ in own(module) if "." not in label} <= set(package.__all__)
