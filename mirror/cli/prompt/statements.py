"""Where statements end in a text that is typed: at a semicolon that is in no text, name or comment. Pure."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

State = Literal["code", "text", "name", "comment"]
_DOLLAR = re.compile(r"\$\w*\$")
_CODE, _BLANK = "\0", " "


class Lexed(NamedTuple):
    """A text, read to its end."""

    state: State  # at the end of the text
    begun: int  # where the text, name or comment that is open there begins, behind its first quote; 0 in code
    ends: tuple[int, ...]  # places of the semicolons
    code: str  # the text with blanks in place of comments and of what texts hold, as long as it is


def lex(text: str) -> Lexed:
    """Read a text as DuckDB does, as far as quotes and comments go."""
    ends: list[int] = []
    code = list(text)
    place = 0
    while place < len(text):
        opened = _opened(text, place)
        if opened is None:
            if text[place] == ";":
                ends.append(place)
            place += 1
            continue
        state, begun = opened
        end, closed = _closed(text, place, state, begun)
        if state != "name":
            code[place:end] = [_BLANK] * (end - place)
        if not closed:
            return Lexed(state, begun, tuple(ends), "".join(code))
        place = end
    return Lexed("code", 0, tuple(ends), "".join(code))


def split(text: str) -> tuple[list[str], str]:
    """The whole statements of a text, without their semicolons, and what stands behind the last one."""
    begun, statements = 0, []
    for end in lex(text).ends:
        statements.append(text[begun:end].strip())
        begun = end + 1
    return [one for one in statements if one], text[begun:].strip()


def is_finished(text: str) -> bool:
    """Whether Enter is to answer: nothing was typed, a word with a dot, or statements and nothing behind them."""
    if not text.strip() or text.lstrip().startswith("."):
        return True
    read = lex(text)
    if read.state not in ("code", "comment") or not read.ends or text[read.begun - 2 : read.begun] == "/*":
        return False
    return not read.code[read.ends[-1] + 1 :].strip()


def _opened(text: str, place: int) -> tuple[State, int] | None:
    """What opens here, and where its content begins."""
    sign = text[place]
    if sign in "'\"":
        return ("text" if sign == "'" else "name"), place + 1
    if text.startswith(("--", "/*"), place):
        return "comment", place + 2
    if sign == "$" and (mark := _DOLLAR.match(text, place)):
        return "text", mark.end()
    return None


def _closed(text: str, place: int, state: State, begun: int) -> tuple[int, bool]:
    """Where that ends, and whether it does."""
    if state == "comment":
        if text[place] == "-":
            end = text.find("\n", begun)
            return (end, True) if end >= 0 else (len(text), False)
        return _comment_end(text, begun)
    mark = text[place:begun]
    if mark not in ("'", '"'):
        end = text.find(mark, begun)
        return (end + len(mark), True) if end >= 0 else (len(text), False)
    escapes = mark == "'" and text[place - 1 : place] in ("e", "E") and not text[place - 2 : place - 1].isalnum()
    at = begun
    while at < len(text):
        if escapes and text[at] == "\\":
            at += 2
        elif text[at] != mark:
            at += 1
        elif text.startswith(mark, at + 1):  # doubled: one of what is quoted
            at += 2
        else:
            return at + 1, True
    return len(text), False


def _comment_end(text: str, begun: int) -> tuple[int, bool]:
    """The end of a comment, in which others may lie."""
    depth, at = 1, begun
    while at < len(text):
        if text.startswith("/*", at):
            depth, at = depth + 1, at + 2
        elif text.startswith("*/", at):
            depth, at = depth - 1, at + 2
            if not depth:
                return at, True
        else:
            at += 1
    return len(text), False
