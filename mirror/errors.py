"""Every error of the mirror, drawn on top; each knows its hint, its exit code and whether trying again can help.

    MirrorError
    ├── CommError              1   a call of `Api` or `Run` failed: the name under which the SDK reports that
    │   ├── NotMirrored        5   it is not in this mirror; also a NotFound
    │       ├── RunNotFoundError   the run is not; also a ValueError, as the SDK's
    │       └── IncompleteRunHistoryError  a run's exports do not hold its whole history
    ├── ConfigError            3   the configuration or a command's argument is wrong
    │   └── AmbiguousName      2   several runs fit what was typed
    ├── AuthError              4   no API key, or the server refused it
    │   └── Forbidden              the key is good, but may not do this
    ├── NotFound               5   the server does not have it, or this key may not read it
    ├── Unreachable            6   no answer, or "try later", after bounded retries   (transient)
    │   ├── RateLimited            the server asked for fewer requests                 (transient)
    │   └── TooSlow                a body came with next to no bytes a second          (transient)
    ├── ServerError            7   the server answered, but not with what W&B answers
    │   ├── GraphQLError           the server reported errors in GraphQL's form
    │   │   ├── DocumentRefused        it does not know something that the document asks for
    │   │   └── ChangeRefused          it says no to a change, which was not made
    │   ├── FailsForAll            it fails at run after run, so that no run is to blame
    │   ├── NotOffered             this server, by its age or kind, has no way to do it
    │   ├── RefusedByServer        the server answered a change without making it
    │   ├── UrlExpired             a signed address is no longer good: ask for a new one   (transient)
    │   ├── RangeRefused           the bytes do not go on at this offset: begin again       (transient)
    │   ├── WrongContent           the bytes that came are not the ones that were listed   (transient)
    │   │   └── TooLarge               more of them than the configuration or the disk allows
    │   └── NotWandb               HTML, plain text, a redirect to a login page
    ├── StoreError             8   the home, the lake or the disk
    │   ├── HomeUnusable           read-only, full, on a network file system
    │   ├── HomeBusy               another process writes it now                        (transient)
    │   │   ├── LeaseHeld              of another machine, that shares the lake            (transient)
    │   │   └── LeaseLost              it took over from this one                          (transient)
    │   ├── LakeAway               the database or the bucket of a shared lake does not answer  (transient)
    │   ├── EntryMoved             an entry of the outbox is no longer where it was
    │   ├── EntryUnflushed         the disk failed, and took back no entry either
    │   ├── LakeTooNew             made by a newer wandb-mirror
    │   ├── UnreadableExport       a history part is damaged, or is not Parquet
    │   └── QueryError         3   the SQL text is wrong
    └── Refused               10   going on could lose something: a person must agree first
        ├── OtherDeployment        this home mirrors another W&B server
        └── SuspiciousListing      the server suddenly lists far fewer runs than are held

Exit code 0 is success, 1 a defect of wandb-mirror itself, 2 a wrong command line (click's own, or a name that
several runs have), and 9 a pull that went through but left something behind with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from mirror.sdk_errors import joined_with_sdk

EXIT_PARTIAL = 9


class MirrorError(Exception):
    """Something the user can read and act upon: one sentence, a hint, an exit code."""

    exit_code: ClassVar[int] = 1
    transient: ClassVar[bool] = False  # whether the same call may succeed later with nothing changed here
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint


class CommError(MirrorError):
    """A call of `Api`, `Run` or one of their objects failed; W&B's SDK has an error of this name for it.

    In a process that has imported wandb, an `except` for the SDK's error of the same name catches it, too, so that
    scripts written for `wandb.Api` need no change.
    """

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        """An instance of the class, joined with the SDK's of the same name where that is loaded."""
        joined: type[Self] = joined_with_sdk(cls)
        return super().__new__(joined)

    def __reduce__(self) -> tuple[object, ...]:
        """By the class itself: the joined one has no name to be found under."""
        plain = next(cls for cls in type(self).__mro__ if not cls.__dict__.get("_is_joined"))
        return _unpickled, (plain, self.message, self.hint)


class ConfigError(MirrorError):
    """The configuration file or a command's argument is wrong."""

    exit_code = 3


class AmbiguousName(ConfigError):
    """Several runs, projects, keys or entries fit what was typed; the hint lists them."""

    exit_code = 2


class AuthError(MirrorError):
    """There is no API key, or the server refused it."""

    exit_code = 4
    default_hint = "set WANDB_API_KEY, or run `wandb login` so that the key is in ~/.netrc"


class Forbidden(AuthError):
    """The server knows the key, and does not let it do this."""


class NotFound(MirrorError):
    """The server does not have it, or this key may not read it: W&B answers both alike."""

    exit_code = 5
    default_hint = "check the spelling, and whose key it is: `wandb-mirror doctor` names its user"


class NotMirrored(NotFound, CommError):
    """It is not in this mirror; the hint names the command that would fetch it, and so does the text."""

    def __str__(self) -> str:
        """What is not here, and what to type: a script's log and a notebook show no more than this."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class RunNotFoundError(NotMirrored, ValueError):
    """The run is not in this mirror; W&B's SDK has an error of this name, too."""


class IncompleteRunHistoryError(NotMirrored):
    """A run's exports do not hold its whole history; W&B's SDK has an error of this name, too."""


def _unpickled(cls: type[CommError], message: str, hint: str) -> CommError:
    return cls(message, hint=hint)


class Unreachable(MirrorError):
    """The server gave no usable answer within the bounded retries.

    Args:
        message: one sentence for a person.
        answered: the server is there (a 5xx, a slow or broken answer), so that asking for less may help.
        status: the HTTP status of its answer; None: there was none, or none that could be read.
    """

    exit_code = 6
    transient = True
    default_hint = "check the network and the server's address, then run the same command again; nothing was lost"

    def __init__(self, message: str, *, hint: str = "", answered: bool = False, status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.answered = answered
        self.status = status


class RateLimited(Unreachable):
    """The server asked for fewer requests for longer than this call may wait.

    Args:
        message: one sentence for a person.
        answered: as of every `Unreachable`.
        is_waited_out: it was waited for as long as is allowed, so that asking again soon is no use.
    """

    default_hint = "wait as long as the server asks, then run the same command again; it goes on where it stopped"

    def __init__(self, message: str, *, hint: str = "", answered: bool = False, is_waited_out: bool = False) -> None:
        super().__init__(message, hint=hint, answered=answered)
        self.is_waited_out = is_waited_out


class TooSlow(Unreachable):
    """A body came with fewer bytes a second than the configuration asks for: this one is given up for now."""

    default_hint = "`server.slow_bytes_per_s` in the configuration allows slower ones; the next pull goes on from there"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, answered=True)


class ServerError(MirrorError):
    """The server answered, but not with what W&B answers.

    Args:
        message: one sentence for a person.
        status: the HTTP status of the answer.
    """

    exit_code = 7
    default_hint = "try again later; if it stays, `wandb-mirror doctor` looks closer. Nothing that was mirrored is lost"

    def __init__(self, message: str, *, hint: str = "", status: int = 200) -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Reported:
    """One error in a GraphQL answer, as the server reported it."""

    message: str  # on one line, without control characters
    path: tuple[str | int, ...] = ()  # of the field in the answer; empty for an error about the whole document
    code: str | None = None  # `extensions.code`, such as PERMISSION_ERROR
    line: int | None = None  # place in the document, from 1; None: not told
    column: int | None = None


class GraphQLError(ServerError):
    """The server reported errors in GraphQL's form; `reported` holds them, `messages` their words.

    Args:
        message: one sentence for a person.
        reported: the errors.
        may_be_about_form: nothing tells that anything was executed, so that the document itself may be to blame.
        status: the HTTP status of the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        reported: tuple[Reported, ...],
        may_be_about_form: bool = False,
        hint: str = "",
        status: int = 200,
    ) -> None:
        super().__init__(message, hint=hint, status=status)
        self.reported = reported
        self.may_be_about_form = may_be_about_form

    @property
    def messages(self) -> tuple[str, ...]:
        """The server's own words."""
        return tuple(error.message for error in self.reported)


class DocumentRefused(GraphQLError):
    """The server does not know a field, argument or type that the document asks for; nothing was executed."""

    default_hint = "`wandb-mirror doctor` tells what this server knows; please report it with these words"


class ChangeRefused(GraphQLError):
    """The server says no to a change, in words of its own; nothing was changed."""


class NotOffered(ServerError):
    """This server, by its age or kind, has no way to do what was asked; `wandb-mirror doctor` names what it lacks."""

    default_hint = "`wandb-mirror doctor` names what this server lacks; a newer server may have it"


class RefusedByServer(ServerError):
    """The server answered a change without making it; the message holds its words, if it said any."""


class FailsForAll(ServerError):
    """The server fails alike at run after run: the fault is general, and no run is counted as failed."""

    default_hint = "the next pull goes on from here; `wandb-mirror doctor` says at what the server fails"


class UrlExpired(ServerError):
    """A signed address is no longer good; the listing that it came from gives a new one."""

    transient = True
    default_hint = "run the same command again; it asks for a new address and goes on where it stopped"


class RangeRefused(ServerError):
    """The bytes do not go on at the offset that was asked for: what is held of them is to be fetched again from 0.

    Args:
        message: one sentence for a person.
        total: bytes that there are, when the server said so; equal to the offset, all of them are held already.
        status: the HTTP status of the answer.
    """

    transient = True

    def __init__(self, message: str, *, total: int | None = None, hint: str = "", status: int = 416) -> None:
        super().__init__(message, hint=hint, status=status)
        self.total = total


class WrongContent(ServerError):
    """The bytes that came are not the ones that the server listed: another size or another MD5."""

    transient = True
    default_hint = "it is tried again with the next pulls; the file may have been changed while it was read"


class TooLarge(WrongContent):
    """More bytes come than the configuration allows, or than the disk has room for: it is not begun again at once."""

    transient = False


class NotWandb(ServerError):
    """HTML, plain text or a redirect to a login page came back instead of JSON."""

    default_hint = "check server.base_url (WANDB_BASE_URL); a proxy or a login page may stand in between"


class StoreError(MirrorError):
    """The home, the lake or the disk cannot do what was asked."""

    exit_code = 8
    default_hint = "`wandb-mirror doctor` checks the home; what was committed stays"


class HomeUnusable(StoreError):
    """The home is read-only, full, or on a file system that cannot hold a live catalog."""


class HomeBusy(StoreError):
    """Another process is writing this home."""

    transient = True


class LeaseHeld(HomeBusy):
    """A process, perhaps of another machine, has the lease of the shared lake."""


class LeaseLost(HomeBusy):
    """Another process took the lease of the shared lake over; nothing of what this one was at was committed."""

    default_hint = "a daemon takes it again by itself when the other one ends; `wandb-mirror status` names the holder"


class LakeAway(StoreError):
    """The database or the bucket of a shared lake does not answer."""

    transient = True
    default_hint = "what is queued meanwhile stays in this home; `wandb-mirror doctor` checks both"


class EntryMoved(StoreError):
    """An entry of the outbox is no longer where this can be done to it: another process was there first."""

    default_hint = "`wandb-mirror outbox list` shows where it is now"


class EntryUnflushed(StoreError):
    """The disk refused to flush an entry of the outbox and to take it back: it is there, a power cut may take it."""

    default_hint = "check the disk; `wandb-mirror outbox list` shows whether the entry is there"


class LakeTooNew(StoreError):
    """The lake was written by a newer wandb-mirror; this one leaves it untouched."""

    default_hint = "upgrade with `pip install --upgrade wandb-mirror`; the lake was not touched"


class UnreadableExport(StoreError):
    """The bytes of a history export are damaged or are no Parquet file; other parts and runs are not touched.

    Args:
        message: one sentence for a person.
        object: name of the file: the digest, for an object.
    """

    default_hint = "the next pull fetches it again; `wandb-mirror verify` tells damage on this disk"

    def __init__(self, message: str, *, hint: str = "", object: str = "") -> None:  # noqa: A002 -- the word of our design
        super().__init__(message, hint=hint)
        self.object = object


class QueryError(StoreError):
    """DuckDB refused the SQL text; the message is DuckDB's own."""

    exit_code = 3


class Refused(MirrorError):
    """Going on could lose something; a person must agree first."""

    exit_code = 10


class OtherDeployment(Refused):
    """This home mirrors another W&B server than the one configured."""


class SuspiciousListing(Refused):
    """The server suddenly lists none or far fewer of the runs that are held."""
