"""Read YAML text strictly into plain values.

A config should mean what it seems to mean. So there are no aliases, tags or repeated keys, and a word never turns into
something else: ``no``, ``on``, ``1:30``, ``010`` and dates stay text. Numbers are decimal, and ``1e-3`` is one of them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from flowcli.errors import ConfigError

KeyPath = tuple[str | int, ...]

MAX_BYTES = 64 * 1024
MAX_DEPTH = 50
MAX_DIGITS = 100

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)


@dataclass(frozen=True)
class Document:
    """What a file holds.

    Attributes:
        values: The mapping, with plain values inside.
        source: The file's name as the user typed it.
        lines: The line, counted from 1, of every key and list item, by its path.
    """

    values: dict[str, Any]
    source: str
    lines: dict[KeyPath, int] = field(default_factory=dict)


def read(data: bytes | str, source: str) -> Document:
    """Read one config file.

    Args:
        data: The file's bytes or text.
        source: Its name, for messages.

    Raises:
        ConfigError: The text is not strict YAML, or not a mapping; the message names line and column.
    """
    lines: dict[KeyPath, int] = {}
    try:
        node = _compose(_decode(data))
        if not isinstance(node, yaml.MappingNode):
            raise _Refused("a config is a mapping, 'flow: ...', not a list or a single value", node.start_mark)
        return Document(_mapping(node, (), lines), source, lines)
    except _Refused as refused:
        raise ConfigError(f"{source}{refused.location}: {refused.message}") from None


def read_value(text: str, source: str) -> Any:
    """Read one value of a command-line option: a scalar, or a list or mapping in ``[...]`` or ``{...}``.

    Raises:
        ConfigError: The text is no such value.
    """
    try:
        if "\n" in text or "\r" in text:
            raise _Refused("a value is one line")
        node = _compose(_decode(text))
        if isinstance(node, yaml.CollectionNode) and not node.flow_style:
            raise _Refused("write a list as [a, b] and a mapping as {key: value}")
        return _value(node, (), {})
    except _Refused as refused:
        raise ConfigError(f"{source}: {refused.message}") from None


class _Refused(Exception):
    """Raised for a YAML node that no config may contain; ``read`` makes it a ConfigError with the file's name."""

    def __init__(self, message: str, mark: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.location = "" if mark is None else f":{mark.line + 1}:{mark.column + 1}"


class _Mark:
    """Line and column, counted from 0, of a position in a text, as YAML's own marks have them."""

    def __init__(self, before: str) -> None:
        self.line = before.count("\n")
        self.column = len(before) - (before.rfind("\n") + 1)


def _decode(data: bytes | str) -> str:
    try:
        size = len(data.encode() if isinstance(data, str) else data)
        text = data if isinstance(data, str) else data.decode("utf-8")
    except UnicodeDecodeError as error:
        location = _Mark(data[: error.start].decode("utf-8")) if isinstance(data, bytes) else None
        raise _Refused("not UTF-8 text; save the file as UTF-8", location) from None
    except UnicodeEncodeError:
        raise _Refused("not UTF-8 text") from None
    if size > MAX_BYTES:
        raise _Refused(f"more than {MAX_BYTES // 1024} KiB; a config is a page of text")
    return text.removeprefix("\ufeff")


def _compose(text: str) -> yaml.Node:
    """Parse text into YAML nodes, refusing anything that YAML allows and a config does not."""
    try:
        loader = _Loader(text)  # looks at every character
    except yaml.reader.ReaderError as error:
        character = text[error.position]
        raise _Refused(f"character {character!r} is not allowed", _Mark(text[: error.position])) from None
    try:
        node: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _Refused(_problem(error), error.problem_mark or error.context_mark) from None
    finally:
        loader.dispose()
    if node is None:
        raise _Refused("there is nothing in it")
    return node


def _problem(error: yaml.MarkedYAMLError) -> str:
    """Return what the YAML parser met, in words for a user."""
    problem = " ".join((error.problem or "this is not YAML").split())
    if r"'\t'" in problem:
        return "a tab; YAML is indented with spaces"
    if "another document" in problem:
        return "a second document; a config is a single one"
    if "mapping values are not allowed" in problem:
        return "a ':' where none can be; check the indentation, or quote the text"
    if "expected <block end>" in problem:
        return "this line does not fit the lines above; check the indentation"
    if "<stream end>" in problem or "unexpected end of stream" in problem:
        return "the end, but a bracket or quote is still open"
    return f"not YAML: {problem}"


class _Loader(yaml.SafeLoader):
    """A loader that stops at directives, anchors, aliases, tags and deep nesting."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_document(self) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if event.version or event.tags:
            raise _Refused("a % directive; configs have none", event.start_mark)
        return super().compose_document()

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _Refused(f"an alias, *{event.anchor}; write the value out", event.start_mark)
        if event.anchor is not None:
            raise _Refused(f"an anchor, &{event.anchor}; configs have none", event.start_mark)
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise _Refused(f"a tag, {tag!r}; configs have none", event.start_mark)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _Refused(f"more than {MAX_DEPTH} levels of nesting", event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _value(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            lines[*path, index] = item.start_mark.line + 1
            items.append(_value(item, (*path, index), lines))
        return items
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: KeyPath, lines: dict[KeyPath, int]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _Refused("a list or mapping as a key; keys are words", key.start_mark)
        name: str = key.value  # as written, so that a column may be called 2020 or no
        if name in mapping:
            raise _Refused(f"key {name!r} is already in line {lines[*path, name]}", key.start_mark)
        lines[*path, name] = key.start_mark.line + 1
        mapping[name] = _value(value, (*path, name), lines)
    return mapping


def _scalar(node: yaml.Node) -> Any:
    text: str = node.value
    if isinstance(node, yaml.ScalarNode) and node.style is not None:  # quoted, or a block of text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _FLOAT.fullmatch(text) is None:
        return text
    if sum(map(str.isdigit, text)) > MAX_DIGITS:
        raise _Refused(f"a number of more than {MAX_DIGITS} digits", node.start_mark)
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise _Refused(f"{text} is too large for a number", node.start_mark)
    return number
