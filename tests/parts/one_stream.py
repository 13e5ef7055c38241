"""A camera of which a test takes one stream."""

from agent.model.media import EncoderDemand


def start(camera, demand, on_unit, on_failure=lambda _: None, *, stream="main"):
    """Start it with this stream active alone; the stream's format."""
    paused = EncoderDemand(demand.bitrate_bps, is_active=False)
    demands = {"main": paused, "preview": paused} | {stream: demand}
    formats = camera.start(demands, lambda name, unit: name == stream and on_unit(unit), on_failure)
    return formats[stream]
