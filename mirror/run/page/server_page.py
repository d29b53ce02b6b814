"""The server's page of an object in a notebook: a frame that a browser fills, for nothing is asked here."""

from __future__ import annotations


def iframe(url: str, what: str, height: int, *, hidden: bool) -> str:
    """The SDK's text.

    Args:
        url: of the page.
        what: "sweep" or "project", for the button.
        height: of the frame, in pixels.
        hidden: behind a button.
    """
    style = f"border:none;width:100%;height:{height}px;{'display:none;' if hidden else ''}"
    button = (
        "<button onClick=\"this.nextSibling.style.display='block';this.style.display='none';\">"
        f"Display W&B {what}</button>"
    )
    return f"{button if hidden else ''}<iframe src={url + '?jupyter=true'!r} style={style!r}></iframe>"
