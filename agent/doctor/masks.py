"""Whether the privacy masks can be relied on."""

from agent.camera.mask_file import Key, MaskFile
from agent.camera.privacy import SET_AGAIN, read, view_of
from agent.config import Settings
from agent.doctor.report import Finding
from agent.errors import ConfigError
from agent.signaling.identity import load_key


def see_masks(settings: Settings) -> Finding | None:
    """None where there never were any, or where the device has no key yet: then nobody watches it."""
    folder = settings.device.state_dir
    try:
        own = load_key(folder)
    except ConfigError:
        return None
    file = MaskFile(folder, Key(own.sign_bytes, own.verify_key.verifies_bytes))
    kept, problem = read(file, view_of(settings.camera), has_head=settings.ptz.port is not None)
    if problem:
        return Finding("masks", "", "fault", f"the picture is blank: {problem}", SET_AGAIN)
    if kept is None:
        return None
    count = len(kept.polygons)
    return Finding(
        "masks",
        "",
        "good",
        f"{count} privacy mask{'' if count == 1 else 's'}, version {kept.version}, set by {kept.set_by}",
        details={"count": count, "version": kept.version},
    )
