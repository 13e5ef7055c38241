import pytest
from parts.recordings import RecordingsFolder


@pytest.fixture
def desk(tmp_path):
    made = RecordingsFolder(tmp_path / "recordings")
    yield made
    made.index.close()
