"""The S3 store. The only module that imports aiobotocore; see pyproject.toml for why that one.

It may be away or slow, so that each call has a bound. What goes wrong is told without a URL: whoever reads
one may do what it was signed for.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiobotocore.session import get_session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from agent.config import UploadSettings, read_secret
from agent.errors import ConfigError
from agent.model.text import printable
from agent.portal.upload.objects import PAGE, BucketError, Part, Stored

TIMEOUT_S = 20.0
"""Of one call, tries and all."""
CONNECT_S, READ_S = 5.0, 10.0
CONNECTIONS = 16
LINK_LIFE_S = 300
"""How long a link for a browser is good to begin with."""
_GONE = frozenset({"NoSuchUpload", "NoSuchKey", "NotFound", "404"})


class Bucket:
    """Belongs to one event loop, and answers while it is open."""

    def __init__(self, settings: UploadSettings) -> None:
        """Raises ConfigError where the secret cannot be read."""
        self._settings = settings
        self._bucket = settings.bucket
        self._secret = read_secret(settings.secret_file) if settings.secret_file else None
        self._opened: Any = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Within it the store may be asked; it is asked for nothing yet. Raises ConfigError."""
        for name in ("botocore", "aiobotocore"):
            logging.getLogger(name).setLevel(logging.WARNING)  # beneath, they tell signatures
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if self._settings.path_style else "virtual"},
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            max_pool_connections=CONNECTIONS,
            retries={"total_max_attempts": 2, "mode": "standard"},
            # Cameras send parts without a checksum, which the upload would then ask for; few stores know it.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        opened = get_session().create_client(
            "s3",
            region_name=self._settings.region,
            endpoint_url=self._settings.endpoint,
            aws_access_key_id=self._settings.access_key,
            aws_secret_access_key=self._secret,
            config=config,
        )
        async with AsyncExitStack() as stack:
            try:
                self._opened = await stack.enter_async_context(opened)
            except (BotoCoreError, ValueError) as exc:  # of the files that Amazon's tools read, too
                raise ConfigError(f"portal.upload: {exc}") from exc
            try:
                yield
            finally:
                self._opened = None

    @property
    def _client(self) -> Any:
        if self._opened is None:
            raise BucketError("the portal begins or ends")
        return self._opened

    async def size(self, key: str) -> int | None:
        """Of an object that is there as a whole; None where there is none."""
        found = await self._ask(self._client.head_object(Bucket=self._bucket, Key=key))
        return None if found is None else int(found["ContentLength"])

    async def begun(self, key: str) -> list[str]:
        """Uploads of this object that are neither complete nor aborted, the oldest first."""
        return [upload for each, upload in await self.unfinished(key) if each == key]

    async def unfinished(self, prefix: str) -> list[tuple[str, str]]:
        """Key and upload of those that are, the oldest first; MinIO knows whole keys alone."""
        found = await self._ask(
            self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=prefix, MaxUploads=PAGE)
        )
        uploads = (found or {}).get("Uploads", [])
        uploads.sort(key=lambda each: (each["Initiated"], each["UploadId"]))
        return [(each["Key"], each["UploadId"]) for each in uploads]

    async def begin(self, key: str, kind: str) -> str:
        """A new upload, of this media type."""
        made = await self._ask(
            self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ContentType=kind)
        )
        if made is None:
            raise BucketError("there is no such bucket")
        return str(made["UploadId"])

    async def parts(self, key: str, upload: str) -> list[Part]:
        """Those that the store has of an upload; none where that is over."""
        found = await self._ask(
            self._client.list_parts(Bucket=self._bucket, Key=key, UploadId=upload, MaxParts=PAGE)
        )
        parts = (found or {}).get("Parts", [])
        return [Part(each["PartNumber"], each["Size"], each["ETag"]) for each in parts]

    async def complete(self, key: str, upload: str, parts: list[Part]) -> None:
        """Make an object of them. Where the upload is over already nothing is done."""
        told = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        await self._ask(
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": told}
            )
        )

    async def abort(self, key: str, upload: str) -> None:
        """Have the store forget what came; nothing is done where the upload is over already."""
        await self._ask(self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload))

    async def objects(self, prefix: str, after: str = "") -> list[Stored]:
        """A page of what is there, in the order of its keys."""
        since = {"StartAfter": after} if after else {}
        found = await self._ask(
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=PAGE, **since)
        )
        return [Stored(each["Key"], each["Size"]) for each in (found or {}).get("Contents", [])]

    async def part_url(self, key: str, upload: str, number: int, size_bytes: int) -> str:
        """With it whoever has it may send this one part, of so many bytes and no others, for a while."""
        return await self._sign(
            "upload_part",
            self._settings.url_life_s,
            Key=key,
            UploadId=upload,
            PartNumber=number,
            ContentLength=size_bytes,
        )

    async def link(self, key: str, name: str) -> str:
        """With it a browser saves this object under this name."""
        said = f'attachment; filename="{name}"'
        return await self._sign("get_object", LINK_LIFE_S, Key=key, ResponseContentDisposition=said)

    async def _sign(self, operation: str, life_s: int, **params: object) -> str:
        made = await self._ask(
            self._client.generate_presigned_url(
                operation, Params={"Bucket": self._bucket} | params, ExpiresIn=life_s
            )
        )
        return str(made)

    async def _ask(self, call: Awaitable[Any]) -> Any:
        """None where what was asked for is not there. Raises BucketError."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await call
        except ClientError as exc:
            code = str(exc.response.get("Error", {}).get("Code", ""))
            if code in _GONE:
                return None
            status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
            is_down = status >= 500 or status == 403 or code == "NoSuchBucket"
            raise BucketError(f"the store says {printable(code)[:60] or status}", is_down=is_down) from exc
        except TimeoutError as exc:
            raise BucketError("the store does not answer") from exc
        except (BotoCoreError, OSError, ValueError) as exc:
            raise BucketError(f"the store cannot be asked: {type(exc).__name__}") from exc
