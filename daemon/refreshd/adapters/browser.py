"""Opening the person's browser, through Python's `webbrowser` (which honours $BROWSER)."""

import asyncio
import sys

_VERDICT_SECONDS = 15.0
_OPEN = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"


async def open_browser(url: str) -> bool:
    """Whether some browser took it; one that says nothing for a while did.

    In a process and a session of its own: a browser in the terminal must not take it over, what a browser prints is no data of
    ours, and Ctrl-C here must not end the browser.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _OPEN,
            url,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        async with asyncio.timeout(_VERDICT_SECONDS):
            return await process.wait() == 0
    except TimeoutError:  # an OSError too, so it is asked for first
        return True
    except OSError:
        return False
