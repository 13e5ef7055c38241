"""For picamera2's import alone: nobody here writes DNG files, and PiDNG must be compiled."""


class PICAM2DNG:
    pass
