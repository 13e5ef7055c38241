"""For picamera2's import alone: nobody here writes DNG files, and PiDNG must be compiled."""


class Picamera2Camera:
    pass
