"""What stands before the tiny server: it passes on whatever it is asked, over a connection of its own for each."""

from __future__ import annotations

import asyncio
import sys


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, and its end."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(address: str, behind: str) -> None:
    """Lead every connection to the server behind."""

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = behind.rpartition(":")
        try:
            answers, questions = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(pass_on(reader, questions), pass_on(answers, writer))

    host, _, port = address.rpartition(":")
    await (await asyncio.start_server(lead, host, int(port))).serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
