"""Reads forms with aiohttp's reader, and says what was in them."""
import asyncio
import hashlib
from aiohttp import web


async def upload(request):
    parts = []
    async for part in await request.multipart():
        content = hashlib.sha256()
        size = 0
        while chunk := await part.read_chunk():
            content.update(chunk)
            size += len(chunk)
        parts.append({
            "field": part.name, "filename": part.filename or "", "size": size,
            "type": part.headers.get("Content-Type", ""), "sha256": content.hexdigest(),
        })
    chunked = request.headers.get("Transfer-Encoding") == "chunked"
    return web.json_response({"parts": parts, "length": request.content_length or -1, "chunked": chunked})


async def main():
    app = web.Application()
    app.add_routes([web.post("/upload", upload)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = site._server.sockets[0].getsockname()
    print(f"{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
