"""Documented objects of a Python library, read with `ast` and never imported."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Documented", "documented"]

_SHORTEST, _LONGEST = 3, 60  # words of a text
_SKIPPED = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "turtledemo", "__pycache__"}
_MASK = "this"

_AREAS = {
    "network": """cgi cgitb email ftplib http imaplib ipaddress mailbox mailcap mimetypes netrc nntplib nturl2path
        poplib smtpd smtplib socket socketserver ssl telnetlib urllib uuid webbrowser wsgiref xmlrpc""",
    "interface": """_pyrepl argparse cmd code codeop curses fileinput getopt getpass optparse rlcompleter shlex tkinter
        turtle""",
    "concurrency": """_threading_local _weakrefset asynchat asyncio asyncore concurrent contextlib multiprocessing
        queue sched selectors signal subprocess threading""",
    "text": """_markupbase _strptime base64 codecs configparser csv difflib encodings gettext html json locale pickle
        pickletools plistlib pprint quopri re shelve string stringprep textwrap tomllib uu xdrlib xml""",
    "numbers": """_pydatetime _pydecimal bisect calendar colorsys datetime decimal fractions hashlib heapq hmac numbers
        random secrets statistics timeit zoneinfo""",
    "files": """_aix_support _android_support _compression _ios_support _osx_support _pyio aifc bz2 chunk compression
        crypt dbm ensurepip filecmp fnmatch genericpath glob gzip imghdr io lzma ntpath os pathlib pipes platform
        posixpath pty shutil site sndhdr sqlite3 stat sunau sysconfig tarfile tempfile tty venv wave zipapp zipfile""",
    "testing": "bdb cProfile doctest logging pdb profile pstats trace traceback tracemalloc unittest warnings",
    "types": """_collections_abc _py_abc abc collections copy copyreg ctypes dataclasses enum functools graphlib
        operator reprlib types typing weakref""",
}
_AREA = {module: area for area, modules in _AREAS.items() for module in modules.split()}
_OTHER = "language"  # imports, compiling, introspection, packaging: all modules that are not named above


@dataclass(frozen=True)
class Documented:
    """One object that has a documentation string."""

    module: str
    name: str
    kind: str
    parameters: tuple[str, ...] | None
    text: str

    @property
    def area(self) -> str:
        """The part of the library that the module belongs to."""
        return _AREA.get(self.module.split(".")[0], _OTHER)

    @property
    def words(self) -> str:
        """The identifier as words."""
        return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", self.name.split(".")[-1])).lower()


def documented(library: Path) -> Iterator[Documented]:
    """Every documented function, method and class of the modules below a folder, in the order of their names."""
    for file in sorted(library.rglob("*.py"), key=lambda file: file.relative_to(library).parts):
        parts = file.relative_to(library).with_suffix("").parts
        if not _SKIPPED.intersection(parts):
            module = ".".join(part for part in parts if part != "__init__")
            yield from _definitions(_parse(file), module, "", inside_class=False)


def _parse(file: Path) -> ast.AST:
    """The syntax tree of a file; an empty one if it is no Python that this interpreter reads."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in strings of old modules
            return ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _definitions(node: ast.AST, module: str, scope: str, inside_class: bool) -> Iterator[Documented]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = f"{scope}.{child.name}".lstrip(".")
            is_class = isinstance(child, ast.ClassDef)
            kind = "class" if is_class else "method" if inside_class else "function"
            parameters = None if isinstance(child, ast.ClassDef) else _parameters(child, inside_class)
            text = _masked(ast.get_docstring(child), child.name)
            if len(re.findall(r"[A-Za-z]{2,}", text)) >= _SHORTEST:
                yield Documented(module, name, kind, parameters, text)
            yield from _definitions(child, module, name, is_class)
        elif isinstance(child, (ast.stmt, ast.ExceptHandler)):
            yield from _definitions(child, module, scope, inside_class)


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef, inside_class: bool) -> tuple[str, ...]:
    given = function.args
    positional = [argument.arg for argument in given.posonlyargs + given.args]
    static = any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in function.decorator_list)
    rest = [argument.arg for argument in (given.vararg, *given.kwonlyargs, given.kwarg) if argument]
    return (*(positional[1:] if inside_class and not static else positional), *rest)


def _masked(text: str | None, name: str) -> str:
    """The first words of a text, with the name of its own object replaced, in any case and with any prefix.

    Otherwise the name would give itself away wherever the text repeats it, as signatures and first verbs do. The
    words inside longer names stay: to know `read_csv` from what is said about reading is the task.
    """
    if not text:
        return ""
    masked = re.sub(rf"(?<!\w)(?:\w+\.)*{re.escape(name)}(?!\w)", _MASK, text, flags=re.IGNORECASE)
    return " ".join(masked.split()[:_LONGEST])
