"""For picamera2's import alone: nobody here shows pictures on a screen."""


class PixelFormat:
    def __getattr__(self, name: str) -> str:
        return name


PixelFormat = PixelFormat()
