"""WebRTC: the only room that touches aioice, aiortc and pylibsrtp below their public API."""
