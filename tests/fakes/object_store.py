"""An S3 store in memory, as far as the portal asks one; `put` is what cameras do with its URLs."""

from contextlib import asynccontextmanager
from itertools import count

from agent.portal.upload.objects import BucketError, Part, Stored


class FakeObjectStore:
    """`fault` is raised by whatever is asked; `at_once` is the most that was asked at a time."""

    def __init__(self):
        self.whole: dict[str, bytes] = {}
        self.uploads: dict[tuple[str, str], dict[int, bytes]] = {}
        self.asked: list[str] = []
        self.fault: BucketError | None = None
        self.gate = None
        """An event that lets calls through, where it is set."""
        self.at_once = self._now = 0
        self._numbers = count()

    @asynccontextmanager
    async def opened(self):
        yield

    def put(self, url, data):
        key, upload, number, size = url.removeprefix("https://store/").split("?")
        assert len(data) == int(size), "the URL is for another size"
        if (key, upload) in self.uploads:
            self.uploads[key, upload][int(number)] = data

    async def size(self, key):
        await self._ask("size")
        return len(self.whole[key]) if key in self.whole else None

    async def begun(self, key):
        await self._ask("begun")
        return [upload for each, upload in self.uploads if each == key]

    async def unfinished(self, prefix):
        await self._ask("unfinished")
        return [each for each in self.uploads if each[0].startswith(prefix)]

    async def begin(self, key, _kind):
        await self._ask("begin")
        upload = f"upload{next(self._numbers)}"
        self.uploads[key, upload] = {}
        return upload

    async def parts(self, key, upload):
        await self._ask("parts")
        parts = self.uploads.get((key, upload), {})
        return [Part(number, len(data), str(hash(data))) for number, data in sorted(parts.items())]

    async def complete(self, key, upload, parts):
        await self._ask("complete")
        if (found := self.uploads.pop((key, upload), None)) is not None:
            self.whole[key] = b"".join(found[part.number] for part in parts)

    async def abort(self, key, upload):
        await self._ask("abort")
        self.uploads.pop((key, upload), None)

    async def part_url(self, key, upload, number, size_bytes):
        return f"https://store/{key}?{upload}?{number}?{size_bytes}"

    async def objects(self, prefix, after=""):
        await self._ask("objects")
        return [
            Stored(key, len(data))
            for key, data in sorted(self.whole.items())
            if key.startswith(prefix) and key > after
        ]

    async def link(self, key, name):
        return f"https://store/{key}?{name}"

    async def _ask(self, what):
        self.asked.append(what)
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        try:
            if self.gate:
                await self.gate.wait()
            if self.fault:
                raise self.fault
        finally:
            self._now -= 1
