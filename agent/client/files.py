"""What a viewer keeps: an MP4 of what was seen, a JPEG of one picture. Blocking: for a worker thread."""

from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame

from agent.errors import PinholeError

RTP_CLOCK_HZ = 90_000


class Recorder:
    """Encodes decoded pictures into a fragmented MP4, which plays also when it was cut short."""

    def __init__(self, file: Path) -> None:
        """Raises PinholeError where the file cannot be written."""
        self._file = file
        try:
            file.touch()  # av opens it with the first picture only
            self._container = av.open(
                str(file),
                "w",
                format="mp4",
                options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
            )
        except (OSError, av.FFmpegError) as exc:
            raise PinholeError(f"--record {file}: {exc.strerror or exc}") from exc
        self._stream: av.VideoStream | None = None
        self._first_pts = 0

    def add(self, frame: VideoFrame) -> None:
        """Append a picture; one of another size is scaled to the first one's."""
        try:
            if self._stream is None:
                self._stream = self._open_stream(frame)
                self._first_pts = frame.pts or 0
            picture = frame.reformat(self._stream.width, self._stream.height, "yuv420p")
            picture.pts = (frame.pts or 0) - self._first_pts
            picture.time_base = Fraction(1, RTP_CLOCK_HZ)
            picture.pict_type = av.video.frame.PictureType.NONE  # the camera's key frames are not ours
            self._container.mux(self._stream.encode(picture))
        except (OSError, av.FFmpegError) as exc:
            raise PinholeError(f"--record {self._file}: {exc.strerror or exc}") from exc

    def close(self) -> None:
        """Write what the encoder still holds."""
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except (OSError, av.FFmpegError) as exc:
            raise PinholeError(f"--record {self._file}: {exc.strerror or exc}") from exc

    def _open_stream(self, frame: VideoFrame) -> av.VideoStream:
        stream = self._container.add_stream(
            "libx264", rate=30, options={"preset": "veryfast", "crf": "20", "bf": "0"}
        )
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, RTP_CLOCK_HZ)
        return stream


def write_jpeg(file: Path, frame: VideoFrame) -> None:
    """Write one picture. Raises PinholeError where the file cannot be written."""
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
    encoder.time_base = Fraction(1, RTP_CLOCK_HZ)
    encoder.options = {"qmin": "2", "qmax": "4"}
    packets = encoder.encode(frame.reformat(format="yuvj420p")) + encoder.encode(None)
    try:
        file.write_bytes(b"".join(bytes(packet) for packet in packets))
    except OSError as exc:
        raise PinholeError(f"--snapshot {file}: {exc.strerror}") from exc
