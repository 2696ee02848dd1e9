"""What only a part of the package needs, and who asks for it without having it."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Say, of an import that fails, which extra of the package brings what is missing.

    Args:
        name: of the extra, as in ``pyproject.toml``.

    Yields:
        Nothing; the import stands in the block.

    Raises:
        ImportError: where a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{error.name} is not installed; it comes with memolib's extra {name!r}: "
            f"pip install 'losing-dimensions[{name}]', or '.[{name}]' in a clone of the book",
            name=error.name,
        ) from error
