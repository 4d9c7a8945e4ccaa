"""Sends files in one form with aiohttp, and reads the form back with its reader."""
import asyncio
import sys
import aiohttp

base, names = sys.argv[1], sys.argv[2:]


async def main():
    async with aiohttp.ClientSession() as session:
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("note", "café 🦀")
        for name in names:
            form.add_field("file", open(name, "rb"), filename=name.replace('"', "%22"))
        async with session.post(base + "/upload", data=form) as answer:
            assert answer.status == 201, await answer.text()
            text, json = await answer.text(), await answer.json()
        async with session.get(f"{base}/download/{json['id']}") as back:
            reader = aiohttp.MultipartReader.from_response(back)
            note = await reader.next()
            assert await note.text() == "café 🦀"
            for name in names:
                part = await reader.next()
                assert await part.read() == open(name, "rb").read(), name
            assert await reader.next() is None
        print(text)


asyncio.run(main())
