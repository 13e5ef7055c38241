from parts.dashboard import PATIENCE_MS
from playwright.async_api import expect

expect.set_options(timeout=PATIENCE_MS)  # its own five seconds pass on a busy machine
